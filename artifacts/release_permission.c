#include <string.h>

#include "agent/base/strv.h"
#include "artifacts/release_files.h"
#include "artifacts/release_permission.h"

#define ALL_PATTERN "**"
#define MODE_DIGITS_MAX 4U

/* Values */

static bool pattern_is_valid(const char *text) {
        return *text && (strcmp(text, ALL_PATTERN) == 0 || !strchr(text, '/'));
}

static const SchemaType pattern_type = {
        .kind = &schema_text,
        .is_valid = pattern_is_valid,
        .expected = "\"**\", or a name in the object, in which \"*\" stands for any characters",
        .min = 1,
        .max = RELEASE_PATTERN_MAX,
};
static const SchemaType except_type = {
        .kind = &schema_list,
        .element = &pattern_type,
        .max = RELEASE_PERMISSIONS_MAX,
};

static const char *const object_types[] = {
        [RELEASE_OBJECT_FILE] = "file", [RELEASE_OBJECT_DIRECTORY] = "directory", NULL
};
static const SchemaType object_type_type = {
        .kind = &schema_choice,
        .choices = object_types,
};
static const SchemaType object_types_type = {
        .kind = &schema_list,
        .element = &object_type_type,
        .max = 2,
};

static bool mode_is_valid(const char *text) {
        size_t n = strlen(text);

        return n > 0 && n <= MODE_DIGITS_MAX && strspn(text, "01234567") == n;
}

static const SchemaType mode_type = {
        .kind = &schema_text,
        .is_valid = mode_is_valid,
        .expected = "one to four octal digits such as \"0644\"",
        .min = 1,
        .max = MODE_DIGITS_MAX,
};

static bool acl_is_valid(const char *text) {
        AclEntry entry;

        return acl_entry_parse(text, &entry) >= 0;
}

static const SchemaType acl_type = {
        .kind = &schema_text,
        .is_valid = acl_is_valid,
        .expected =
                "an entry such as \"u:bob:rw\" or \"default:group::r-x\" (what the owner, the group and others may "
                "do is for mode to say)",
        .min = 1,
        .max = ACL_ENTRY_TEXT_MAX,
};
static const SchemaType acls_type = {
        .kind = &schema_list,
        .element = &acl_type,
        .max = RELEASE_ACLS_MAX,
};

/* SELinux: each is a part of "user:role:type:range", and nothing that would make two of one. */

static bool context_part_is_valid(const char *text) {
        static const char characters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_";

        return *text && strspn(text, characters) == strlen(text);
}

static bool range_is_valid(const char *text) {
        return text[0] == 's' && strspn(text, "sc0123456789.,:-") == strlen(text);
}

static const SchemaType context_part_type = {
        .kind = &schema_text,
        .is_valid = context_part_is_valid,
        .expected = "a name that SELinux knows, such as httpd_sys_content_t",
        .min = 1,
        .max = 255,
};
static const SchemaType range_type = {
        .kind = &schema_text,
        .is_valid = range_is_valid,
        .expected = "a range such as s0 or s0-s1:c0.c3",
        .min = 2,
        .max = 255,
};

static bool context_is_set(const void *value) {
        const ReleaseContext *context = value;

        return context->type;
}

static const SchemaMember context_members[] = {
        { "user", &context_part_type, offsetof(ReleaseContext, user), false },
        { "type", &context_part_type, offsetof(ReleaseContext, type), true },
        { "range", &range_type, offsetof(ReleaseContext, range), false },
        {},
};
static const SchemaType context_type = {
        .kind = &schema_object,
        .size = sizeof(ReleaseContext),
        .members = context_members,
        .is_set = context_is_set,
        .expected = "a mapping with type, and perhaps user and range",
};

/* The section */

bool release_permission_has_type(const ReleasePermission *permission, ReleaseObjectType type) {
        for (size_t i = 0; i < permission->type.n; i++)
                if (permission->type.items[i] == type)
                        return true;
        return permission->type.n == 0;
}

bool release_permission_has_default_acl(const ReleasePermission *permission) {
        AclEntry entry;

        for (size_t i = 0; i < permission->acls.n; i++)
                if (acl_entry_parse(permission->acls.items[i], &entry) >= 0 && entry.is_default)
                        return true;
        return false;
}

bool release_permission_chooses(const ReleasePermission *permission) {
        return permission->except.n > 0 ||
               (permission->pattern && strcmp(permission->pattern, ALL_PATTERN) != 0);
}

/* CodeDeploy compares it with the absolute paths of what it installs, and finds none. */
static const char *idle_permission(const JsonField *field) {
        JsonField object = json_field_member(field, "object");
        const char *path = json_string_value(object.value);

        return path && *path && path[strspn(path, " ")] != '/'
                       ? "object is no absolute path, so nothing is installed there; it is passed over, as CodeDeploy does it"
                       : NULL;
}

static int check_permission(const JsonField *field, void *value, _unused_ Error *error) {
        ReleasePermission *permission = value;

        permission->line = json_field_line(field);
        return 0;
}

static const SchemaMember members[] = {
        { "object", &release_place_type, offsetof(ReleasePermission, object), true },
        { "pattern", &pattern_type, offsetof(ReleasePermission, pattern), false },
        { "except", &except_type, offsetof(ReleasePermission, except), false },
        { "type", &object_types_type, offsetof(ReleasePermission, type), false },
        { "owner", &document_user_type, offsetof(ReleasePermission, owner), false },
        { "group", &document_user_type, offsetof(ReleasePermission, group), false },
        { "mode", &mode_type, offsetof(ReleasePermission, mode), false },
        { "acls", &acls_type, offsetof(ReleasePermission, acls), false },
        { "context", &context_type, offsetof(ReleasePermission, context), false },
        {},
};
static const SchemaType permission_type = {
        .kind = &schema_object,
        .size = sizeof(ReleasePermission),
        .members = members,
        .check = check_permission,
        .lenient = true,
        .idle = idle_permission,
        .expected = "a mapping with object and what is to be set",
};
const SchemaType release_permissions_type = {
        .kind = &schema_list,
        .element = &permission_type,
        .max = RELEASE_PERMISSIONS_MAX,
        .expected = "a list of mappings with object",
};

/* What it is about */

/* "*" is any characters, also none; everything else is itself, as CodeDeploy has it. */
static bool name_matches(const char *name, const char *pattern) {
        const char *star = NULL, *resume = name;

        while (*name) {
                if (*pattern == '*') {
                        star = pattern++;
                        resume = name;
                } else if (*pattern == *name) {
                        pattern++;
                        name++;
                } else if (star) {
                        pattern = star + 1;
                        name = ++resume;
                } else {
                        return false;
                }
        }
        return pattern[strspn(pattern, "*")] == '\0';
}

bool release_permission_matches(const ReleasePermission *permission, const char *path) {
        const char *name;

        if (strcmp(path, permission->object) == 0 || !release_place_is_within(path, permission->object))
                return false;
        name = path + (strcmp(permission->object, "/") == 0 ? 0 : strlen(permission->object)) + 1;
        if (strchr(name, '/')) /* patterns and exceptions are about what lies in the object itself */
                return !permission->pattern || strcmp(permission->pattern, ALL_PATTERN) == 0;
        for (size_t i = 0; i < permission->except.n; i++)
                if (name_matches(name, permission->except.items[i]))
                        return false;
        return !permission->pattern || name_matches(name, permission->pattern);
}

int release_permission_mode(const ReleasePermission *permission) {
        return permission->mode ? (int) strtoul(permission->mode, NULL, 8) : -1;
}
