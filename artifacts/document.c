#include <inttypes.h>
#include <string.h>

#include "agent/base/clock.h"
#include "agent/base/hex.h"
#include "agent/base/parse.h"
#include "agent/base/strv.h"
#include "artifacts/document.h"

#define NAME_SIZE_MAX 64U
#define TEXT_SIZE_MAX 1024U
#define ENVIRONMENT_NAME_MAX 128U

/* The types that documents share */

bool document_digest_is_valid(const char *text) {
        uint8_t digest[DIGEST_SIZE];

        return hex_decode(text, digest, sizeof(digest)) >= 0;
}

bool document_text_is_valid(const char *text) {
        for (; *text; text++)
                if ((unsigned char) *text < ' ' || *text == 0x7f)
                        return false;
        return true;
}

bool document_path_is_valid(const char *text) {
        for (const char *p = text;; p++) {
                size_t n = strcspn(p, "/");

                if (n == 0 || (n == 1 && p[0] == '.') || (n == 2 && p[0] == '.' && p[1] == '.') || n > 255)
                        return false;
                p += n;
                if (!*p)
                        return document_text_is_valid(text);
        }
}

bool document_user_is_valid(const char *text) {
        size_t n = strlen(text);

        if (n == 0 || n > 32 || strchr("0123456789-.", text[0]))
                return false;
        return strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-.") == n;
}

static bool variable_is_valid(const char *name) {
        static const char characters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_0123456789";
        size_t n = strlen(name);

        return n > 0 && n <= ENVIRONMENT_NAME_MAX && !strchr("0123456789", name[0]) &&
               strspn(name, characters) == n && !string_starts_with(name, "MUSTER_");
}

static bool agent_version_is_valid(const char *text) {
        bool digit = false;

        for (const char *p = text; *p; p++) {
                if (*p == '.' && !digit)
                        return false;
                digit = *p >= '0' && *p <= '9';
                if (!digit && *p != '.')
                        return false;
        }
        return digit;
}

const SchemaType document_name_type = {
        .kind = &schema_text,
        .is_valid = name_is_valid,
        .expected = "a name of up to 64 letters, digits, \".\", \"_\" and \"-\"",
        .max = NAME_SIZE_MAX,
};

const SchemaType document_version_type = {
        .kind = &schema_text,
        .is_valid = version_is_valid,
        .expected = "a version of up to 64 letters, digits, \".\", \"_\", \"-\", \"+\" and \"~\"",
        .max = NAME_SIZE_MAX,
};

const SchemaType document_time_type = {
        .kind = &schema_time,
};
const SchemaType document_boolean_type = {
        .kind = &schema_boolean,
};
const SchemaType document_hex_type = {
        .kind = &schema_hex,
};

const SchemaType document_agent_version_type = {
        .kind = &schema_text,
        .is_valid = agent_version_is_valid,
        .expected = "a version of muster such as \"1.0\"",
        .max = 32,
};

const SchemaType document_text_type = {
        .kind = &schema_text,
        .is_valid = document_text_is_valid,
        .expected = "one line of text",
        .max = TEXT_SIZE_MAX,
};

static const SchemaType environment_value_type = {
        .kind = &schema_text,
        .is_valid = document_text_is_valid,
        .expected = "one line of text",
        .max = DOCUMENT_ENVIRONMENT_VALUE_MAX,
};

const SchemaType document_environment_type = {
        .kind = &schema_map,
        .element = &environment_value_type,
        .entry_size = sizeof(DocumentVariable),
        .entry_value = offsetof(DocumentVariable, value),
        .is_valid = variable_is_valid,
        .expected = "an environment variable that does not start with MUSTER_",
        .max = DOCUMENT_ENVIRONMENT_MAX,
};

/* CodeDeploy joins what an appspec says to the bundle's folder, so "/scripts/a", "./scripts//a" and " scripts/a " are one. */
static void tidy_path(char *path) {
        char *from = path + strspn(path, " "), *to = path, *end = path + strlen(path);

        while (end > from && end[-1] == ' ')
                *--end = '\0';
        for (size_t n; from += strspn(from, "/"), n = strcspn(from, "/"), n > 0; from += n) {
                if (n == 1 && *from == '.')
                        continue;
                if (to > path)
                        *to++ = '/';
                memmove(to, from, n);
                to += n;
        }
        *to = '\0';
}

static int read_path(const SchemaType *type, const JsonField *field, void *value, Error *error) {
        const char *text = json_string_value(field->value);
        _cleanup_free_ char *copy = NULL;

        if (!field->source->untyped || !text)
                return schema_text.read(type, field, value, error);
        copy = strdup(text);
        if (!copy)
                return error_oom(error);
        tidy_path(copy);
        if (strlen(copy) > type->max || !type->is_valid(copy))
                return json_field_expected(field, error, type->expected);
        *(char **) value = TAKE_PTR(copy);
        return 0;
}

/* Once it has been read, a path is a text. */
static int write_path(const SchemaType *type, const void *value, json_t **ret) {
        return schema_text.write(type, value, ret);
}

static void clear_path(const SchemaType *type, void *value) {
        schema_text.clear(type, value);
}

static const SchemaKind path_kind = {
        .read = read_path, .write = write_path, .clear = clear_path, .size = sizeof(char *)
};
const SchemaType document_path_type = {
        .kind = &path_kind,
        .is_valid = document_path_is_valid,
        .expected = "a path within the app without \"..\"",
        .max = 1024,
};
const SchemaType document_user_type = {
        .kind = &schema_text,
        .is_valid = document_user_is_valid,
        .expected = "the name of a user",
        .max = 32,
};

const SchemaType document_arguments_type = {
        .kind = &schema_list,
        .element = &document_text_type,
        .max = DOCUMENT_ARGUMENTS_MAX,
};
/* Reading and writing */

/* Versions of muster are short and valid here; strtoul cannot fail on them but by overflow, which is large too. */
int document_compare_agents(const char *a, const char *b) {
        while (*a || *b) {
                unsigned long x = strtoul(a, (char **) &a, 10), y = strtoul(b, (char **) &b, 10);

                if (x != y)
                        return x < y ? -1 : 1;
                a += *a == '.';
                b += *b == '.';
        }
        return 0;
}

static int check_min_agent(const JsonField *document, Error *error) {
        JsonField field = json_field_member(document, "min_agent");
        const char *version = json_string_value(field.value);

        if (!field.value)
                return 0;
        if (!version || !agent_version_is_valid(version))
                return json_field_expected(&field, error, document_agent_version_type.expected);
        if (document_compare_agents(MUSTER_VERSION, version) < 0) {
                json_field_fail(&field, error, "needs muster %s or newer, this is " MUSTER_VERSION, version);
                return -EPROTONOSUPPORT;
        }
        return 0;
}

int document_digest(const void *payload, size_t size, char ret[static DIGEST_HEX_SIZE], Error *error) {
        return digest_sha256_hex(payload, size, ret) < 0 ? error_oom(error) : 0;
}

static void append_name(char ret[static DOCUMENT_NAME_MAX], const json_t *root, const char *member) {
        const char *text = member ? json_string_value(json_object_get(root, member)) : NULL;
        size_t used = strlen(ret);

        if (text && version_is_valid(text))
                snprintf(ret + used, DOCUMENT_NAME_MAX - used, " %s", text);
}

int document_parse(const SchemaType *type, const DocumentName *name, const void *payload, size_t size,
                   size_t limit, void *value, Error *error) {
        char text[DOCUMENT_NAME_MAX];
        JsonSource source = { .name = text };
        _cleanup_json_ json_t *root = NULL;
        JsonField top;
        int r;

        memset(value, 0, schema_size(type));
        snprintf(text, sizeof(text), "%s", name->kind);
        r = json_read(text, payload, size, limit, &root, error);
        if (r < 0)
                return r;
        append_name(text, root, name->first);
        append_name(text, root, name->second);
        top = json_field_top(&source, root);
        r = check_min_agent(&top, error);
        if (r >= 0)
                r = schema_check_critical(type, &top, error);
        if (r >= 0)
                r = schema_read(type, &top, value, error);
        if (r < 0)
                schema_clear(type, value);
        return r;
}

int document_write(const SchemaType *type, const void *value, char **ret, size_t *ret_size, Error *error) {
        _cleanup_json_ json_t *root = NULL;

        if (schema_write(type, value, &root) < 0 || json_write(root, ret, ret_size) < 0)
                return error_oom(error);
        return 0;
}
