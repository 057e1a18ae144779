#include <ctype.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <string.h>

#include "agent/base/file.h"
#include "agent/base/strv.h"
#include "agent/net/aws_profile.h"

/* Stands before the name of a section of services, where a profile has its name alone: no line holds it. */
#define SERVICES "services\n"

typedef struct Entry {
        char *profile;
        char *key; /* lower-case; NULL: the section itself */
        char *value;
} Entry;

struct AwsProfiles {
        Entry *entries;
        size_t n;
};

int aws_profiles_new(AwsProfiles **ret) {
        *ret = calloc(1, sizeof(**ret));
        return *ret ? 0 : -ENOMEM;
}

static void entry_deinit(Entry *entry) {
        if (entry->value)
                OPENSSL_cleanse(entry->value, strlen(entry->value));
        free(entry->profile);
        free(entry->key);
        free(entry->value);
}

AwsProfiles *aws_profiles_free(AwsProfiles *profiles) {
        if (!profiles)
                return NULL;
        for (size_t i = 0; i < profiles->n; i++)
                entry_deinit(&profiles->entries[i]);
        free(profiles->entries);
        free(profiles);
        return NULL;
}

/* The last one that was added wins. */
static Entry *find(const AwsProfiles *profiles, const char *profile, const char *key) {
        for (size_t i = profiles->n; i > 0; i--) {
                Entry *entry = &profiles->entries[i - 1];

                if (strcmp(entry->profile, profile) == 0 && string_equal(entry->key, key))
                        return entry;
        }
        return NULL;
}

bool aws_profiles_has(const AwsProfiles *profiles, const char *profile) {
        return find(profiles, profile, NULL);
}

const char *aws_profiles_get(const AwsProfiles *profiles, const char *profile, const char *key) {
        const Entry *entry = find(profiles, profile, key);

        return entry && entry->value[0] ? entry->value : NULL;
}

const char *aws_profiles_get_of_services(const AwsProfiles *profiles, const char *name, const char *key) {
        _cleanup_free_ char *section = NULL;

        if (asprintf(&section, SERVICES "%s", name) < 0) {
                section = NULL;
                return NULL;
        }
        return aws_profiles_get(profiles, section, key);
}

typedef struct Parser {
        AwsProfiles *profiles;
        AwsProfileFile file;
        const char *path;
        unsigned line;
        char *profile; /* of the section; NULL: one that is passed over */
        char *parent;  /* the setting that indented lines belong to; NULL: they are passed over */
        bool in_section;
        bool forgot; /* what the config file had for this profile's keys */
        Error *error;
} Parser;

static int refuse(const Parser *parser, int r, const char *expected) {
        return error_set_fault(parser->error, r, FAULT_INPUT, "%s:%u: expected %s", parser->path,
                               parser->line, expected);
}

static int add(const Parser *parser, const char *key, const char *value) {
        AwsProfiles *profiles = parser->profiles;
        Entry entry = {}, *grown;

        if (profiles->n >= AWS_PROFILE_ENTRIES_MAX)
                return refuse(parser, -E2BIG, "at most 10,000 settings");
        grown = reallocarray(profiles->entries, profiles->n + 1, sizeof(*grown));
        if (!grown)
                return error_oom(parser->error);
        profiles->entries = grown;
        if (string_set(&entry.profile, parser->profile) < 0 || string_set(&entry.key, key) < 0 ||
            string_set(&entry.value, value) < 0) {
                entry_deinit(&entry);
                return error_oom(parser->error);
        }
        grown[profiles->n++] = entry;
        return 0;
}

static char *trim(char *text) {
        char *end = text + strlen(text);

        while (end > text && isspace((unsigned char) end[-1]))
                *--end = '\0';
        return text + strspn(text, " \t");
}

/* What follows KIND in "profile NAME"; NULL: it is another kind of section. */
static char *name_of_section(char *name, const char *kind) {
        size_t n = strlen(kind);

        if (!string_starts_with(name, kind) || !isspace((unsigned char) name[n]))
                return NULL;
        name = trim(name + n);
        if ((name[0] == '"' || name[0] == '\'') && strlen(name) > 1 &&
            string_ends_with(name, (char[]){ name[0], '\0' })) {
                name[strlen(name) - 1] = '\0';
                name++;
        }
        return name;
}

/* PARSER's profile becomes the name in the brackets, NULL for a section that is of no interest. */
static int set_section(Parser *parser, char *name) {
        char *services;

        name = trim(name);
        if (parser->file == AWS_PROFILE_CREDENTIALS || strcmp(name, "default") == 0)
                return string_set(&parser->profile, name);
        services = name_of_section(name, "services");
        if (!services)
                return string_set(&parser->profile, name_of_section(name, "profile"));
        free(parser->profile);
        if (asprintf(&parser->profile, SERVICES "%s", services) < 0) {
                parser->profile = NULL;
                return -ENOMEM;
        }
        return 0;
}

static int begin_section(Parser *parser, char *line) {
        char *end = strchr(line, ']');

        if (!end)
                return refuse(parser, -EINVAL, "']' after the section's name");
        *end = '\0';
        parser->in_section = true;
        parser->forgot = false;
        if (set_section(parser, line + 1) < 0 || string_set(&parser->parent, NULL) < 0)
                return error_oom(parser->error);
        return parser->profile ? add(parser, NULL, "") : 0;
}

static const char *const keys[] = { "aws_access_key_id", "aws_secret_access_key", "aws_session_token" };

static bool is_key(const char *name) {
        for (size_t i = 0; i < ELEMENTSOF(keys); i++)
                if (strcmp(name, keys[i]) == 0)
                        return true;
        return false;
}

/* The key id of one file and the secret of another are no pair. */
static void forget_keys(Parser *parser) {
        parser->forgot = true;
        for (size_t i = 0; i < ELEMENTSOF(keys); i++) {
                Entry *entry = find(parser->profiles, parser->profile, keys[i]);

                if (entry) {
                        OPENSSL_cleanse(entry->value, strlen(entry->value));
                        entry->value[0] = '\0';
                }
        }
}

/* Cuts LINE at its separator; NULL: it has none. */
static char *split_setting(char *line, char **ret_value) {
        char *separator = line + strcspn(line, "=:"), *key;

        if (!*separator)
                return NULL;
        *separator = '\0';
        *ret_value = trim(separator + 1);
        key = trim(line);
        for (char *c = key; *c; c++)
                *c = (char) tolower((unsigned char) *c);
        return key;
}

static int take_setting(Parser *parser, char *line) {
        char *value, *key = split_setting(line, &value);

        if (!key || !parser->in_section)
                return refuse(parser, -EINVAL, "[SECTION] or KEY = VALUE");
        if (!parser->profile)
                return 0;
        if (parser->file == AWS_PROFILE_CREDENTIALS && !parser->forgot && is_key(key))
                forget_keys(parser);
        if (string_set(&parser->parent, *value ? NULL : key) < 0)
                return error_oom(parser->error);
        return add(parser, key, value);
}

/* A line that is indented belongs to the setting before it, such as those of "s3 =". */
static int take_indented(Parser *parser, char *line) {
        char *value, *key = split_setting(line, &value);
        _cleanup_free_ char *whole = NULL;

        if (!key || !parser->profile || !parser->parent)
                return 0;
        if (asprintf(&whole, "%s.%s", parser->parent, key) < 0) {
                whole = NULL;
                return error_oom(parser->error);
        }
        return add(parser, whole, value);
}

static int take_line(Parser *parser, char *line) {
        parser->line++;
        if (line[0] == '#' || line[0] == ';')
                return 0;
        if (isspace((unsigned char) line[0]))
                return *trim(line) ? take_indented(parser, line) : 0;
        if (!*trim(line))
                return 0;
        return line[0] == '[' ? begin_section(parser, line) : take_setting(parser, line);
}

int aws_profiles_add(AwsProfiles *profiles, AwsProfileFile file, const char *path, const char *text,
                     Error *error) {
        _cleanup_free_ char *copy = strdup(text);
        Parser parser = { .profiles = profiles, .file = file, .path = path, .error = error };
        char *next = copy, *line;
        int r = 0;

        if (!copy)
                return error_oom(error);
        while (r >= 0 && (line = strsep(&next, "\n")))
                r = take_line(&parser, line);
        OPENSSL_cleanse(copy, strlen(text));
        free(parser.profile);
        free(parser.parent);
        return r;
}

/* One that is not there is passed over, as the SDKs do, also where a variable names it. */
static int load_file(AwsProfiles *profiles, AwsProfileFile file, const char *path, bool is_named,
                     Error *error) {
        _cleanup_buffer_ Buffer text = {};
        int r;

        r = file_read_at(AT_FDCWD, path, AWS_PROFILE_FILE_MAX, &text);
        if (r == -ENOENT || (r < 0 && r != -E2BIG && !is_named))
                return 0;
        if (r < 0)
                return error_set_errno(error, r, "cannot read %s", path);
        r = aws_profiles_add(profiles, file, path, buffer_string(&text), error);
        if (text.data)
                OPENSSL_cleanse(text.data, text.allocated);
        return r;
}

static int load_named(AwsProfiles *profiles, AwsProfileFile file, char *const *environment,
                      const char *variable, const char *name, Error *error) {
        const char *given = strv_getenv(environment, variable), *home = strv_getenv(environment, "HOME");
        _cleanup_free_ char *path = NULL;

        if (given)
                return load_file(profiles, file, given, true, error);
        if (!home)
                return 0;
        if (asprintf(&path, "%s/.aws/%s", home, name) < 0) {
                path = NULL;
                return error_oom(error);
        }
        return load_file(profiles, file, path, false, error);
}

int aws_profiles_load(char *const *environment, AwsProfiles **ret, Error *error) {
        _cleanup_(aws_profiles_freep) AwsProfiles *profiles = NULL;
        int r;

        r = aws_profiles_new(&profiles) < 0 ? error_oom(error) : 0;
        if (r >= 0)
                r = load_named(profiles, AWS_PROFILE_CONFIG, environment, "AWS_CONFIG_FILE", "config", error);
        if (r >= 0)
                r = load_named(profiles, AWS_PROFILE_CREDENTIALS, environment, "AWS_SHARED_CREDENTIALS_FILE",
                               "credentials", error);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(profiles);
        return 0;
}

const char *aws_profile_name(char *const *environment) {
        const char *name = strv_getenv(environment, "AWS_PROFILE");

        return name ? name : "default";
}
