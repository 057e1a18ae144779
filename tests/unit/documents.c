#include <fcntl.h>
#include <jansson.h>
#include <string.h>

#include "agent/base/base64.h"
#include "agent/base/file.h"
#include "agent/base/hex.h"
#include "agent/base/strv.h"
#include "artifacts/json.h"
#include "tests/unit/documents.h"
#include "tests/unit/test.h"

#define FILE_SIZE_MAX (4U << 20)

void documents_read(const char *name, Buffer *ret) {
        char path[TEST_PATH_MAX];

        snprintf(path, sizeof(path), DOCUMENTS_FOLDER "%s", name);
        if (file_read_at(AT_FDCWD, path, FILE_SIZE_MAX, ret) < 0)
                fail_msg("%s: cannot be read; tests run from the top of the tree", path);
}

Key *documents_key(unsigned number) {
        static const char *const seeds[] = {
                "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
                "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
                "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
        };
        /* PKCS#8 of an Ed25519 key up to the seed: RFC 8410, section 7. */
        uint8_t der[48] = { 0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06,
                            0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20 };
        _cleanup_free_ char *text = NULL, *pem = NULL;
        Key *key;

        assert_int_equal(hex_decode(seeds[number - 1], der + 16, 32), 0);
        assert_int_equal(base64_encode(der, sizeof(der), &text), 0);
        assert_true(asprintf(&pem, "-----BEGIN PRIVATE KEY-----\n%s\n-----END PRIVATE KEY-----\n", text) > 0);
        assert_int_equal(key_from_private_pem("test", pem, strlen(pem), &key, NULL), 0);
        return key;
}

int documents_keys_setup(void **state) {
        DocumentsKeys *keys = calloc(1, sizeof(*keys));

        assert_non_null(keys);
        for (unsigned i = 0; i < 3; i++)
                keys->key[i] = documents_key(i + 1);
        *state = keys;
        return 0;
}

int documents_keys_teardown(void **state) {
        DocumentsKeys *keys = *state;

        for (unsigned i = 0; i < 3; i++)
                key_free(keys->key[i]);
        free(keys);
        return 0;
}

/* A case that is being collected. */
typedef struct Case {
        const char *kind;
        const json_t *golden;
        json_t *document; /* NULL before the first change */
        char *text;       /* instead of a document */
        unsigned line;
        unsigned n; /* cases so far */
} Case;

static json_t *step(json_t *value, const char *component) {
        return json_is_array(value) ? json_array_get(value, strtoul(component, NULL, 10))
                                    : json_object_get(value, component);
}

/* Follows all but the last component of PATH, which is cut up. */
static json_t *follow(const Case *c, json_t *value, char **path) {
        for (char *dot; (dot = strchr(*path, '.')); *path = dot + 1) {
                *dot = '\0';
                value = step(value, *path);
                if (!value)
                        fail_msg("hostile-%s.txt:%u: there is no %s", c->kind, c->line, *path);
        }
        return value;
}

static void change(Case *c, char *path, json_t *new) {
        json_t *parent;

        if (!c->document)
                c->document = json_deep_copy(c->golden);
        parent = follow(c, c->document, &path);
        if (!new &&json_is_object(parent))
                assert_int_equal(json_object_del(parent, path), 0);
        else if (!new)
                assert_int_equal(json_array_remove(parent, strtoul(path, NULL, 10)), 0);
        else if (json_is_object(parent))
                assert_int_equal(json_object_set_new(parent, path, new), 0);
        else if (strcmp(path, "+") == 0)
                assert_int_equal(json_array_append_new(parent, new), 0);
        else
                assert_int_equal(json_array_set_new(parent, strtoul(path, NULL, 10), new), 0);
}

static void take_change(Case *c, char *line) {
        char *rest = strchr(line, ' '), *value;

        if (string_starts_with(line, "text")) {
                c->text = strdup(rest ? rest + 1 : "");
        } else if (string_starts_with(line, "drop ")) {
                change(c, rest + 1, NULL);
        } else if (string_starts_with(line, "set ") && (value = strchr(rest + 1, ' '))) {
                json_t *json = json_loads(value + 1, JSON_DECODE_ANY, NULL);

                *value = '\0';
                if (!json)
                        fail_msg("hostile-%s.txt:%u: not a JSON value", c->kind, c->line);
                change(c, rest + 1, json);
        } else {
                fail_msg("hostile-%s.txt:%u: expected set, drop or text", c->kind, c->line);
        }
}

static void try_case(Case *c, const char *expected, DocumentsParse parse) {
        char *text = c->text ?: json_dumps(c->document, JSON_COMPACT);
        Error error = {};
        int r;

        assert_non_null(text);
        r = parse(text, strlen(text), &error);
        if (strcmp(r < 0 ? error.message : "good", expected) != 0)
                fail_msg("hostile-%s.txt:%u: expected: %s\n    got: %s", c->kind, c->line, expected,
                         r < 0 ? error.message : "good");
        if (r < 0 && r != -ENOMEM)
                assert_int_equal(error.fault, FAULT_INPUT);
        free(text);
        json_decref(c->document);
        c->document = NULL;
        c->text = NULL;
        c->n++;
}

void documents_try_hostile(const char *kind, DocumentsParse parse) {
        _cleanup_buffer_ Buffer golden = {}, cases = {};
        _cleanup_json_ json_t *document = NULL;
        char name[64], *rest, *line;
        Case c = { .kind = kind };

        snprintf(name, sizeof(name), "%s.json", kind);
        documents_read(name, &golden);
        document = json_loads(buffer_string(&golden), 0, NULL);
        assert_non_null(document);
        c.golden = document;
        snprintf(name, sizeof(name), "hostile-%s.txt", kind);
        documents_read(name, &cases);
        rest = (char *) cases.data;
        while ((line = strsep(&rest, "\n"))) {
                c.line++;
                if (string_starts_with(line, "    "))
                        try_case(&c, line + 4, parse);
                else if (*line && *line != '#')
                        take_change(&c, line);
        }
        assert_true(c.n > 0);
        assert_null(c.document);
        assert_null(c.text);
}
