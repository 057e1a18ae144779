#include <string.h>

#include "agent/base/strv.h"
#include "artifacts/entry_name.h"
#include "artifacts/release_files.h"

/* Whole-tree sources are "/" in a document and "" in memory. */

static int read_source(const SchemaType *type, const JsonField *field, void *value, Error *error) {
        const char *text = json_string_value(field->value);
        char path[RELEASE_DESTINATION_MAX + 1];
        Error reason = {};
        size_t n;

        if (!text || strlen(text) > RELEASE_DESTINATION_MAX)
                return json_field_expected(field, error, type->expected);
        text += strspn(text, "/"); /* CodeDeploy joins it to the bundle's folder */
        n = strlen(text);
        if (n > 0 && entry_name_normalise(text, RELEASE_DESTINATION_MAX, SIZE_MAX, path, &reason) < 0)
                return json_field_expected(field, error, type->expected);
        return string_set(value, n > 0 ? path : "") < 0 ? error_oom(error) : 0;
}

static int write_source(_unused_ const SchemaType *type, const void *value, json_t **ret) {
        const char *source = *(char *const *) value;

        *ret = json_string(source && *source ? source : "/");
        return *ret ? 0 : -ENOMEM;
}

static void clear_source(const SchemaType *type, void *value) {
        schema_text.clear(type, value);
}

static const SchemaKind source_kind = {
        .read = read_source, .write = write_source, .clear = clear_source, .size = sizeof(char *)
};
static const SchemaType source_type = {
        .kind = &source_kind,
        .expected = "a file or folder of the app, without \"..\", or \"/\" for all of it",
};

/* Absolute paths */

static int read_place(const SchemaType *type, const JsonField *field, void *value, Error *error) {
        const char *text = json_string_value(field->value);
        char path[RELEASE_DESTINATION_MAX + 2] = "/";
        Error reason = {};

        if (!text || text[0] != '/' || strlen(text) > RELEASE_DESTINATION_MAX)
                return json_field_expected(field, error, type->expected);
        text += strspn(text, "/");
        if (*text && entry_name_normalise(text, RELEASE_DESTINATION_MAX, SIZE_MAX, path + 1, &reason) < 0)
                return json_field_expected(field, error, type->expected);
        return string_set(value, path) < 0 ? error_oom(error) : 0;
}

static int write_place(const SchemaType *type, const void *value, json_t **ret) {
        return schema_text.write(type, value, ret);
}

static const SchemaKind place_kind = {
        .read = read_place, .write = write_place, .clear = clear_source, .size = sizeof(char *)
};
const SchemaType release_place_type = {
        .kind = &place_kind,
        .expected = "an absolute path without \"..\"",
};

bool release_place_is_within(const char *path, const char *folder) {
        size_t n = strcmp(folder, "/") == 0 ? 0 : strlen(folder);

        return strncmp(path, folder, n) == 0 && (path[n] == '\0' || path[n] == '/');
}

bool release_place_is_refused(const char *path) {
        static const char *const refused[] = { "/proc", "/sys", "/dev", "/run/muster" };

        for (size_t i = 0; i < ELEMENTSOF(refused); i++)
                if (release_place_is_within(path, refused[i]))
                        return true;
        return false;
}

static const char *const modes[] = { [RELEASE_FILE_COPY] = "copy", [RELEASE_FILE_LINK] = "link", NULL };
static const SchemaType mode_type = {
        .kind = &schema_choice,
        .choices = modes,
        .zero_is_unset = true,
};

static int check_file(const JsonField *field, void *value, Error *error) {
        JsonField source = json_field_member(field, "source");
        JsonField destination = json_field_member(field, "destination");
        ReleaseFile *file = value;

        file->line = json_field_line(&source);
        if (file->mode == RELEASE_FILE_LINK && strcmp(file->destination, "/") == 0)
                return json_field_fail(&destination, error, "/ cannot be made a link");
        if (release_place_is_refused(file->destination))
                return json_field_fail(&destination, error, "nothing can be installed in %s",
                                       file->destination);
        return 0;
}

static const SchemaMember members[] = {
        { "source", &source_type, offsetof(ReleaseFile, source), true },
        { "destination", &release_place_type, offsetof(ReleaseFile, destination), true },
        { "mode", &mode_type, offsetof(ReleaseFile, mode), false },
        {},
};
static const SchemaType file_type = {
        .kind = &schema_object,
        .size = sizeof(ReleaseFile),
        .members = members,
        .check = check_file,
        .lenient = true,
        .expected = "a mapping with source and destination",
};

/* Two of them that cannot both be, whatever is in the tree. */
static int check_pair(const JsonField *field, const ReleaseFiles *files, size_t a, size_t b, Error *error) {
        const ReleaseFile *first = files->items + a, *second = files->items + b;
        JsonField entry = json_field_element(field, b);
        JsonField destination = json_field_member(&entry, "destination");

        if (strcmp(first->source, second->source) == 0 &&
            strcmp(first->destination, second->destination) == 0)
                return json_field_fail(&entry, error, "%s is installed in %s already, by files[%zu]",
                                       *first->source ? first->source : "/", first->destination, a);
        if ((first->mode == RELEASE_FILE_LINK &&
             release_place_is_within(second->destination, first->destination)) ||
            (second->mode == RELEASE_FILE_LINK &&
             release_place_is_within(first->destination, second->destination)))
                return json_field_fail(
                        &destination, error,
                        "%s lies where files[%zu] installs something too, and one of them is a link",
                        second->destination, a);
        return 0;
}

static int check_files(const JsonField *field, void *value, Error *error) {
        const ReleaseFiles *files = value;
        int r = 0;

        for (size_t b = 1; b < files->n; b++)
                for (size_t a = 0; a < b && r >= 0; a++)
                        r = check_pair(field, files, a, b, error);
        return r;
}

const SchemaType release_files_type = {
        .kind = &schema_list,
        .element = &file_type,
        .max = RELEASE_FILES_MAX,
        .check = check_files,
        .expected = "a list of mappings with source and destination",
};

static const char *const behaviors[] = {
        [RELEASE_FILE_DISALLOW] = "DISALLOW",
        [RELEASE_FILE_OVERWRITE] = "OVERWRITE",
        [RELEASE_FILE_RETAIN] = "RETAIN",
        NULL,
};
const SchemaType release_file_exists_type = {
        .kind = &schema_choice,
        .choices = behaviors,
        .zero_is_unset = true,
};
