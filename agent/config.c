#include <dirent.h>
#include <ini.h>
#include <string.h>

#include "agent/base/buffer.h"
#include "agent/base/file.h"
#include "agent/base/parse.h"
#include "agent/base/strv.h"
#include "agent/config.h"
#include "agent/config_check.h"
#include "agent/config_keys.h"

#define SECTIONS "agent, traffic, aws, launch, leave, notify or app NAME"
#define BYTE_ORDER_MARK "\xef\xbb\xbf" /* some editors begin a text with it */

int config_new(Config **ret) {
        _cleanup_(config_freep) Config *config = NULL;
        int r;

        config = calloc(1, sizeof(*config));
        if (!config)
                return -ENOMEM;
        r = config_keys_set_defaults(config, false);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(config);
        return 0;
}

Config *config_free(Config *config) {
        if (!config)
                return NULL;
        for (size_t i = 0; i < config->n_apps; i++) {
                free(config->apps[i].name);
                config_keys_free_strings(&config->apps[i], true);
        }
        config_keys_free_strings(config, false);
        free(config);
        return NULL;
}

typedef struct Parser {
        Config *config;
        const char *file;
        const char *next; /* unread text */
        unsigned line;
        char **seen; /* "section\nkey" of this file */
        int result;
        Error *error;
} Parser;

static int refuse(Parser *parser, const char *what, const char *subject, const char *expected) {
        if (parser->result == 0)
                parser->result = error_set_fault(parser->error, -EINVAL, FAULT_INPUT, "%s:%u: %s '%s'%s%s",
                                                 parser->file, parser->line, what, subject,
                                                 expected ? ", expected " : "", expected ? expected : "");
        return 0;
}

static int refuse_memory(Parser *parser) {
        if (parser->result == 0)
                parser->result = error_oom(parser->error);
        return 0;
}

AppConfig *config_find_app(Config *config, const char *name) {
        for (size_t i = 0; i < config->n_apps; i++)
                if (strcmp(config->apps[i].name, name) == 0)
                        return &config->apps[i];
        return NULL;
}

int config_add_app(Config *config, const char *name, AppConfig **ret, Error *error) {
        AppConfig *app = config_find_app(config, name);

        if (app) {
                *ret = app;
                return 0;
        }
        if (config->n_apps == CONFIG_APPS_MAX)
                return error_set_fault(error, -E2BIG, FAULT_INPUT, "more than %u apps", CONFIG_APPS_MAX);
        app = &config->apps[config->n_apps++];
        *app = (AppConfig){ .name = strdup(name) };
        if (!app->name || config_keys_set_defaults(app, true) < 0)
                return error_oom(error);
        *ret = app;
        return 0;
}

#define APP_SECTION "app "

static const char *app_of_section(const char *section) {
        return section + strlen(APP_SECTION) + strspn(section + strlen(APP_SECTION), " \t");
}

static int open_app(Parser *parser, const char *name) {
        Error problem = {};
        AppConfig *app;
        int r;

        if (!name_is_valid(name))
                return refuse(parser, "bad app name", name, "letters, digits, '.', '_' and '-'");
        r = config_add_app(parser->config, name, &app, &problem);
        if (r == -E2BIG)
                return refuse(parser, problem.message, name, NULL);
        return r < 0 ? refuse_memory(parser) : 1;
}

/* inih makes nothing known of a section without keys, but [app NAME] alone is a whole app with its defaults, and what
 * is misspelt must not pass. LINE begins with "[". */
static int open_section(Parser *parser, const char *line) {
        const char *end = strchr(line, ']');
        _cleanup_free_ char *section = NULL;

        if (!end)
                return refuse(parser, "section without its ']':", line, NULL);
        section = strndup(line + 1, (size_t) (end - line) - 1);
        if (!section)
                return refuse_memory(parser);
        end += 1 + strspn(end + 1, " \t\r");
        if (*end && !strchr(";#", *end))
                return refuse(parser, "behind a section there is", end, "nothing");
        if (string_starts_with(section, APP_SECTION))
                return open_app(parser, app_of_section(section));
        if (strcmp(section, "app") == 0 || !config_section_exists(section))
                return refuse(parser, "unknown section", section, SECTIONS);
        return 1;
}

/* inih asks for line after line, as of fgets(3). What indents a line is left out: to inih it would go on with the
 * value of the line before. */
static char *read_line(char *ret, int size, void *stream) {
        Parser *parser = stream;
        size_t indent = strspn(parser->next, " \t");
        size_t n = strcspn(parser->next, "\n");

        if (!*parser->next || parser->result < 0)
                return NULL;
        parser->line++;
        if (n > CONFIG_LINE_MAX || n + 2 > (size_t) size) {
                refuse(parser, "line too long", "", "at most 180 characters");
                return NULL;
        }
        memcpy(ret, parser->next + indent, n - indent);
        ret[n - indent] = '\0';
        parser->next += n + (parser->next[n] == '\n');
        return *ret == '[' && open_section(parser, ret) <= 0 ? NULL : ret;
}

static int set_key(Parser *parser, const char *section, const char *name, const char *value) {
        bool app = string_starts_with(section, APP_SECTION);
        const ConfigKey *key = config_key_find(app ? "app" : section, name);
        void *object = parser->config;
        int r;

        if (!*section)
                return refuse(parser, "a key before any section:", name, NULL);
        if (!key)
                return refuse(parser, "unknown key", name, NULL);
        if (app)
                object = config_find_app(parser->config,
                                         app_of_section(section)); /* open_section() has made it */
        r = config_key_set(key, object, value);
        if (r == -ENOMEM)
                return refuse_memory(parser);
        if (r < 0) {
                char what[128];

                snprintf(what, sizeof(what), "bad value of %s:", name);
                return refuse(parser, what, key->type == CONFIG_SECRET_URL ? "…" : value, key->expected);
        }
        return 1;
}

static int on_key(void *userdata, const char *section, const char *name, const char *value) {
        Parser *parser = userdata;
        _cleanup_free_ char *id = NULL;

        if (parser->result < 0)
                return 0;
        if (!name || !value)
                return refuse(parser, "expected KEY = VALUE, found", name ? name : "", NULL);
        if (asprintf(&id, "%s\n%s", section, name) < 0) {
                id = NULL;
                return refuse_memory(parser);
        }
        if (strv_contains(parser->seen, id))
                return refuse(parser, "key given twice:", name, NULL);
        if (strv_append(&parser->seen, id) < 0)
                return refuse_memory(parser);
        return set_key(parser, section, name, value);
}

int config_parse(Config *config, const char *file, const char *text, Error *error) {
        Parser parser = { .config = config, .file = file, .next = text, .error = error };
        int line;

        if (string_starts_with(text, BYTE_ORDER_MARK))
                parser.next += strlen(BYTE_ORDER_MARK);
        line = ini_parse_stream(read_line, &parser, on_key, &parser);
        if (parser.result == 0 && line > 0)
                parser.result = error_set_fault(error, -EINVAL, FAULT_INPUT,
                                                "%s:%d: expected [SECTION] or KEY = VALUE", file, line);
        if (parser.result == 0 && line < 0)
                parser.result = error_oom(error);
        strv_free(parser.seen);
        return parser.result;
}

S3BucketTerms config_bucket_terms(const Config *config) {
        return (S3BucketTerms){ (S3Encryption) config->s3_encryption, config->s3_kms_key_id,
                                config->s3_requester_pays, config->s3_bucket_owner };
}

static int parse_file(Config *config, const char *path, Error *error) {
        _cleanup_buffer_ Buffer text = {};
        int r;

        r = file_read_at(AT_FDCWD, path, CONFIG_FILE_SIZE_MAX, &text);
        if (r < 0)
                return error_set_errno(error, r, "cannot read %s", path);
        if (memchr(buffer_string(&text), '\0', text.size))
                return error_set_fault(error, -EINVAL, FAULT_INPUT, "%s: holds a zero byte, expected text",
                                       path);
        return config_parse(config, path, buffer_string(&text), error);
}

static int is_drop_in(const struct dirent *entry) {
        return entry->d_name[0] != '.' && string_ends_with(entry->d_name, ".conf");
}

typedef int (*ReadFile)(Config *config, const char *path, Error *error);

static int read_drop_ins(Config *config, const char *folder, ReadFile read_file, Error *error) {
        struct dirent **entries = NULL;
        int n, r = 0;

        n = scandir(folder, &entries, is_drop_in, alphasort);
        if (n < 0)
                return errno == ENOENT ? 0 : error_set_errno(error, -errno, "cannot read %s", folder);
        if ((unsigned) n > CONFIG_DROP_INS_MAX)
                r = error_set_fault(error, -E2BIG, FAULT_INPUT, "%s: more than %u files", folder,
                                    CONFIG_DROP_INS_MAX);
        for (int i = 0; i < n; i++) {
                _cleanup_free_ char *path = NULL;

                if (r == 0 && asprintf(&path, "%s/%s", folder, entries[i]->d_name) < 0) {
                        path = NULL;
                        r = error_oom(error);
                }
                if (r == 0)
                        r = read_file(config, path, error);
                free(entries[i]);
        }
        free(entries);
        return r;
}

int config_load(const char *path, Config **ret, Error *error) {
        _cleanup_(config_freep) Config *config = NULL;
        _cleanup_free_ char *folder = NULL;
        int r;

        if (config_new(&config) < 0 || asprintf(&folder, "%s.d", path) < 0) {
                folder = NULL;
                return error_oom(error);
        }
        r = access(path, F_OK) < 0 && errno == ENOENT ? 0 : parse_file(config, path, error);
        if (r < 0)
                return r;
        r = read_drop_ins(config, folder, parse_file, error);
        if (r < 0)
                return r;
        r = config_check(config, error);
        if (r < 0) {
                error_prefix(error, "%s", path);
                return r;
        }
        *ret = TAKE_PTR(config);
        return 0;
}

/* As inih asks for them; what is too long for it is left out. */
static char *read_any_line(char *ret, int size, void *stream) {
        const char **next = stream;

        while (**next) {
                size_t n = strcspn(*next, "\n"), indent = strspn(*next, " \t");
                const char *line = *next;

                *next += n + (line[n] == '\n');
                if (n - indent >= (size_t) size)
                        continue;
                memcpy(ret, line + indent, n - indent);
                ret[n - indent] = '\0';
                return ret;
        }
        return NULL;
}

static int on_place(void *userdata, const char *section, const char *name, const char *value) {
        bool is_place = string_equal(name, "state_dir") || string_equal(name, "unit_dir");

        if (is_place && value && *value && strcmp(section, "agent") == 0)
                (void) config_key_set(config_key_find(section, name), userdata, value);
        return 1;
}

static int read_places(Config *config, const char *path, _unused_ Error *error) {
        _cleanup_buffer_ Buffer text = {};
        const char *next;

        if (file_read_at(AT_FDCWD, path, CONFIG_FILE_SIZE_MAX, &text) < 0)
                return 0;
        next = buffer_string(&text);
        if (string_starts_with(next, BYTE_ORDER_MARK))
                next += strlen(BYTE_ORDER_MARK);
        (void) ini_parse_stream(read_any_line, &next, on_place, config);
        return 0;
}

int config_load_places(const char *path, Config **ret) {
        _cleanup_(config_freep) Config *config = NULL;
        _cleanup_free_ char *folder = NULL;

        if (config_new(&config) < 0)
                return -ENOMEM;
        if (asprintf(&folder, "%s.d", path) < 0) {
                folder = NULL;
                return -ENOMEM;
        }
        (void) read_places(config, path, NULL);
        (void) read_drop_ins(config, folder, read_places, NULL);
        *ret = TAKE_PTR(config);
        return 0;
}

bool config_is_configured(const Config *config) {
        return config->depot;
}

bool config_has_own_queue(const Config *config) {
        return config->queue && strcmp(config->queue, CONFIG_QUEUE_OWN) == 0;
}
