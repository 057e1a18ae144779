#include <dirent.h>
#include <ini.h>
#include <stddef.h>
#include <string.h>

#include "agent/base/buffer.h"
#include "agent/base/file.h"
#include "agent/base/parse.h"
#include "agent/base/strv.h"
#include "agent/config.h"
#include "agent/net/sqs_message.h"

typedef enum KeyType {
        KEY_STRING,
        KEY_PATH,
        KEY_URL,
        KEY_NAME,
        KEY_DURATION,
        KEY_BOOLEAN,
        KEY_CHOICE,
        KEY_NUMBER,
        KEY_SIZE,
} KeyType;

typedef struct KeyRow {
        ConfigKey key;
        KeyType type;
        size_t offset;
        const char *const
                *choices; /* KEY_CHOICE: the enum's values in order, NULL-terminated; KEY_NUMBER and KEY_SIZE:
                                     * the word for UINT64_MAX, if there is one */
} KeyRow;

static const char *const failure_choices[] = { "abandon", "continue", "wait", NULL };
static const char *const addressing_choices[] = { "auto", "path", "virtual", NULL };

static const char *const unlimited_word[] = { "unlimited", NULL };
static const char *const auto_word[] = { "auto", NULL };

#define A_DURATION "a duration such as 60s or 5m"
#define A_PATH "an absolute path"
#define A_URL "a URL such as https://host:port"
#define A_BOOLEAN "yes or no"

#define SECTIONS "agent, aws, launch or app NAME"
#define BYTE_ORDER_MARK "\xef\xbb\xbf" /* some editors begin a text with it */

#define AGENT(name, type, text, expected, help)                                                              \
        { { "agent", #name, text, expected, help }, type, offsetof(Config, name), NULL }
#define AMOUNT(name, type, word, text, expected, help)                                                       \
        { { "agent", #name, text, expected, help }, type, offsetof(Config, name), word }
#define AWS(name, type, text, expected, help)                                                                \
        { { "aws", #name, text, expected, help }, type, offsetof(Config, name), NULL }

static const KeyRow rows[] = {
        AGENT(depot, KEY_STRING, NULL, "s3://BUCKET[/PREFIX] or file:///FOLDER",
              "where releases and targets are kept; without it musterd waits"),
        AGENT(group, KEY_STRING, "auto-scaling-group", "a name, tag:KEY or auto-scaling-group",
              "the deployment group: a name, the value of an instance tag, or the name of the Auto Scaling group"),
        AGENT(state_dir, KEY_PATH, "/var/lib/muster", A_PATH,
              "where releases and the deploy record are kept"),
        AGENT(trust_root, KEY_PATH, "/etc/muster/root.json", A_PATH,
              "the trust root: whose signatures count"),
        AGENT(instance_id, KEY_NAME, NULL, "a name of letters, digits, '.', '_' and '-'",
              "the instance's name; from the instance metadata, else the machine id, where it is not given"),
        AGENT(unit_dir, KEY_PATH, "/etc/systemd/system", A_PATH,
              "where unit files of releases are installed"),
        AGENT(poll_interval, KEY_DURATION, "30s", A_DURATION,
              "time between two looks at the depot, less a jitter"),
        AGENT(report_interval, KEY_DURATION, "5m", A_DURATION,
              "time between two instance reports without news"),
        AGENT(settle_time, KEY_DURATION, "2s", A_DURATION,
              "how long a unit is watched after its job before it counts as running"),
        AGENT(keep_releases, KEY_NUMBER, "5", "a number, at least 1",
              "how many releases of each app stay on the disk"),
        AMOUNT(keep_bytes, KEY_SIZE, unlimited_word, "unlimited", "a size such as 10G, or unlimited",
               "how much disk the releases of each app may take together"),
        AMOUNT(reserve_bytes, KEY_SIZE, auto_word, "auto", "a size such as 500M, or auto",
               "how much space a deployment leaves free; auto: 5 % of the file system, at most 256M"),
        AMOUNT(reserve_inodes, KEY_NUMBER, auto_word, "auto", "a number, or auto",
               "how many inodes a deployment leaves free; auto: 5 % of the file system's, at most 10,000"),
        AGENT(queue, KEY_STRING, NULL, "the name or the URL of an SQS queue",
              "messages in it say when to look at the depot"),
        AGENT(queue_shared, KEY_BOOLEAN, "yes", A_BOOLEAN,
              "whether others look at the queue too; no: the depot is polled less often while the queue works"),
        AWS(region, KEY_NAME, NULL, "a region such as eu-central-1",
            "from AWS_REGION, AWS_DEFAULT_REGION or the instance metadata where it is not given"),
        AWS(endpoint_url, KEY_URL, NULL, A_URL, "endpoint of every service that has none of its own here"),
        AWS(s3_endpoint_url, KEY_URL, NULL, A_URL, "endpoint of S3"),
        AWS(autoscaling_endpoint_url, KEY_URL, NULL, A_URL, "endpoint of Auto Scaling"),
        AWS(sts_endpoint_url, KEY_URL, NULL, A_URL, "endpoint of STS"),
        AWS(sqs_endpoint_url, KEY_URL, NULL, A_URL, "endpoint of SQS"),
        AWS(ca_bundle, KEY_PATH, NULL, A_PATH, "certificates to trust in place of the system's"),
        { { "aws", "s3_addressing", "auto", "auto, path or virtual",
            "auto: the bucket in the host name, but path style with an endpoint of your own" },
          KEY_CHOICE,
          offsetof(Config, s3_addressing),
          addressing_choices },
        { { "launch", "hook", NULL, "the name of a launch lifecycle hook",
            "the hook that holds a new instance until its required apps are healthy" },
          KEY_STRING,
          offsetof(Config, launch_hook),
          NULL },
        { { "launch", "auto_scaling_group", NULL, "the name of an Auto Scaling group",
            "from the tag aws:autoscaling:groupName or Auto Scaling where it is not given" },
          KEY_STRING,
          offsetof(Config, launch_group),
          NULL },
        { { "launch", "heartbeat_interval", "0", A_DURATION,
            "time between two heartbeats while a deployment runs; 0: a third of the hook's time-out" },
          KEY_DURATION,
          offsetof(Config, heartbeat_interval),
          NULL },
        { { "launch", "on_failure", "abandon", "abandon, continue or wait",
            "what the group is told when the first deployment of a required app fails for good" },
          KEY_CHOICE,
          offsetof(Config, launch_failure),
          failure_choices },
        { { "app", "required", "yes", A_BOOLEAN,
            "whether the instance enters service only with this app healthy" },
          KEY_BOOLEAN,
          offsetof(AppConfig, required),
          NULL },
        { { "app", "group", NULL, "a name",
            "the deployment group of this app, where it differs from the agent's" },
          KEY_NAME,
          offsetof(AppConfig, group),
          NULL },
};

size_t config_key_count(void) {
        return ELEMENTSOF(rows);
}

const ConfigKey *config_key(size_t i) {
        return &rows[i].key;
}

static bool is_string(KeyType type) {
        return type == KEY_STRING || type == KEY_PATH || type == KEY_URL || type == KEY_NAME;
}

static bool string_is_valid(KeyType type, const char *value) {
        switch (type) {
        case KEY_PATH:
                return value[0] == '/';
        case KEY_URL:
                return string_starts_with(value, "https://") || string_starts_with(value, "http://");
        case KEY_NAME:
                return name_is_valid(value);
        default:
                return true;
        }
}

/* Numbers and sizes. */
static int parse_amount(const KeyRow *row, const char *value, uint64_t *ret) {
        if (row->choices && strcmp(value, row->choices[0]) == 0) {
                *ret = UINT64_MAX;
                return 0;
        }
        return row->type == KEY_SIZE ? parse_size(value, ret) : parse_u64(value, ret);
}

static int find_choice(const char *const *choices, const char *value) {
        for (int i = 0; choices[i]; i++)
                if (strcmp(choices[i], value) == 0)
                        return i;
        return -EINVAL;
}

/* Sets the field of OBJECT that ROW describes. -EINVAL for a value of the wrong type. An empty value unsets. */
static int set_value(void *object, const KeyRow *row, const char *value) {
        void *field = (char *) object + row->offset;
        int r;

        if (is_string(row->type)) {
                if (*value && !string_is_valid(row->type, value))
                        return -EINVAL;
                return string_set(field, *value ? value : NULL);
        }
        switch (row->type) {
        case KEY_DURATION:
                return parse_duration(value, field);
        case KEY_BOOLEAN:
                return parse_boolean(value, field);
        case KEY_NUMBER:
        case KEY_SIZE:
                return parse_amount(row, value, field);
        default:
                r = find_choice(row->choices, value);
                if (r >= 0)
                        *(int *) field = r;
                return r < 0 ? r : 0;
        }
}

static int set_defaults(void *object, bool app) {
        for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
                int r;

                if ((strcmp(rows[i].key.section, "app") == 0) != app || !rows[i].key.default_text)
                        continue;
                r = set_value(object, &rows[i], rows[i].key.default_text);
                if (r < 0)
                        return r;
        }
        return 0;
}

int config_new(Config **ret) {
        _cleanup_(config_freep) Config *config = NULL;
        int r;

        config = calloc(1, sizeof(*config));
        if (!config)
                return -ENOMEM;
        r = set_defaults(config, false);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(config);
        return 0;
}

static void free_strings(void *object, bool app) {
        for (size_t i = 0; i < ELEMENTSOF(rows); i++)
                if ((strcmp(rows[i].key.section, "app") == 0) == app && is_string(rows[i].type))
                        free(*(char **) ((char *) object + rows[i].offset));
}

Config *config_free(Config *config) {
        if (!config)
                return NULL;
        for (size_t i = 0; i < config->n_apps; i++) {
                free(config->apps[i].name);
                free_strings(&config->apps[i], true);
        }
        free_strings(config, false);
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
        if (!app->name || set_defaults(app, true) < 0)
                return error_oom(error);
        *ret = app;
        return 0;
}

static bool section_exists(const char *section) {
        for (size_t i = 0; i < ELEMENTSOF(rows); i++)
                if (strcmp(rows[i].key.section, section) == 0)
                        return true;
        return false;
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
        if (strcmp(section, "app") == 0 || !section_exists(section))
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

static const KeyRow *find_row(const char *section, const char *name) {
        for (size_t i = 0; i < ELEMENTSOF(rows); i++)
                if (strcmp(rows[i].key.section, section) == 0 && strcmp(rows[i].key.name, name) == 0)
                        return &rows[i];
        return NULL;
}

static int set_key(Parser *parser, const char *section, const char *name, const char *value) {
        bool app = string_starts_with(section, APP_SECTION);
        const KeyRow *row = find_row(app ? "app" : section, name);
        void *object = parser->config;
        int r;

        if (!*section)
                return refuse(parser, "a key before any section:", name, NULL);
        if (!row)
                return refuse(parser, "unknown key", name, NULL);
        if (app)
                object = config_find_app(parser->config,
                                         app_of_section(section)); /* open_section() has made it */
        r = set_value(object, row, value);
        if (r == -ENOMEM)
                return refuse_memory(parser);
        if (r < 0) {
                char what[128];

                snprintf(what, sizeof(what), "bad value of %s:", name);
                return refuse(parser, what, value, row->key.expected);
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

static bool group_is_valid(const char *group) {
        return strcmp(group, "auto-scaling-group") == 0 || (string_starts_with(group, "tag:") && group[4]) ||
               name_is_valid(group);
}

static bool depot_is_valid(const char *uri) {
        _cleanup_free_ char *bucket = NULL;

        if (!string_starts_with(uri, "s3://"))
                return string_starts_with(uri, "file:///");
        bucket = strndup(uri + strlen("s3://"), strcspn(uri + strlen("s3://"), "/"));
        return bucket && s3_bucket_is_valid(bucket);
}

/* What holds also before there is a depot. The sandbox of muster-unpack mounts a folder beneath state_dir, in a notation
 * that ends a path with ":". */
static int check_places(const Config *config, Error *error) {
        if (!config->state_dir || strchr(config->state_dir, ':'))
                return error_set_fault(error, -EINVAL, FAULT_INPUT,
                                       "[agent] state_dir is '%s', expected an absolute path without ':'",
                                       config->state_dir ? config->state_dir : "");
        if (config->keep_releases == 0)
                return error_set_fault(error, -EINVAL, FAULT_INPUT,
                                       "[agent] keep_releases is 0, expected at least 1");
        return 0;
}

static bool queue_is_valid(const char *queue) {
        return string_starts_with(queue, "https://") || string_starts_with(queue, "http://") ||
               sqs_queue_name_is_valid(queue);
}

int config_check(const Config *config, Error *error) {
        int r;

        r = check_places(config, error);
        if (r < 0)
                return r;
        if (!config->depot)
                return 0;
        if (!depot_is_valid(config->depot))
                return error_set_fault(
                        error, -EINVAL, FAULT_INPUT,
                        "[agent] depot is '%s', expected s3://BUCKET[/PREFIX] or file:///FOLDER",
                        config->depot);
        if (!config->group || !group_is_valid(config->group))
                return error_set_fault(
                        error, -EINVAL, FAULT_INPUT,
                        "[agent] group is '%s', expected a name, tag:KEY or auto-scaling-group",
                        config->group ? config->group : "");
        if (config->poll_interval == 0 || config->report_interval == 0)
                return error_set_fault(error, -EINVAL, FAULT_INPUT,
                                       "[agent] poll_interval and report_interval must be more than 0");
        if (config->queue && !queue_is_valid(config->queue))
                return error_set_fault(error, -EINVAL, FAULT_INPUT,
                                       "[agent] queue is '%s', expected the name or the URL of an SQS queue",
                                       config->queue);
        if (config->n_apps == 0)
                return error_set_fault(error, -EINVAL, FAULT_INPUT,
                                       "a depot is given but no app: add a section [app NAME]");
        return 0;
}

static int parse_file(Config *config, int dirfd, const char *name, const char *path, Error *error) {
        _cleanup_buffer_ Buffer text = {};
        int r;

        r = file_read_at(dirfd, name, CONFIG_FILE_SIZE_MAX, &text);
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

static int parse_drop_ins(Config *config, const char *folder, Error *error) {
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
                        r = parse_file(config, AT_FDCWD, path, path, error);
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
        r = access(path, F_OK) < 0 && errno == ENOENT ? 0 : parse_file(config, AT_FDCWD, path, path, error);
        if (r < 0)
                return r;
        r = parse_drop_ins(config, folder, error);
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

bool config_is_configured(const Config *config) {
        return config->depot;
}
