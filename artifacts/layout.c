#include <string.h>

#include "agent/base/parse.h"
#include "agent/base/strv.h"
#include "artifacts/layout.h"

#define DOCUMENT_SUFFIX ".json"
#define NAME_RULE "expected 1 to 64 characters of A-Z a-z 0-9 . _ -, the first one a letter or a digit"
#define VERSION_RULE "expected 1 to 64 characters of A-Z a-z 0-9 . _ + ~ -, the first one a letter or a digit"
#define INSTANCE_RULE                                                                                        \
        "expected 1 to 128 characters of A-Z a-z 0-9 . _ : @ = , + -, the first one a letter or a digit"

#define LETTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
#define DIGITS "0123456789"

bool layout_instance_is_valid(const char *instance) {
        size_t n = strspn(instance, LETTERS DIGITS "._:@=,+-");

        return n > 0 && n <= LAYOUT_INSTANCE_MAX && !instance[n] && strspn(instance, LETTERS DIGITS) > 0;
}

static bool sha256_is_valid(const char *sha256) {
        return strlen(sha256) == 64 && strspn(sha256, DIGITS "abcdef") == 64;
}

typedef struct Part {
        const char *what; /* as the sentence calls it */
        bool (*is_valid)(const char *text);
        const char *rule;
} Part;

static const Part part_app = { "app", name_is_valid, NAME_RULE };
static const Part part_group = { "group", name_is_valid, NAME_RULE };
static const Part part_rollout = { "rollout", name_is_valid, NAME_RULE };
static const Part part_kind = { "kind of mark", name_is_valid, NAME_RULE };
static const Part part_version = { "version", version_is_valid, VERSION_RULE };
static const Part part_instance = { "instance", layout_instance_is_valid, INSTANCE_RULE };
static const Part part_sha256 = { "SHA-256", sha256_is_valid, "expected 64 lower-case hexadecimal digits" };

static int check(const Part *part, const char *text, Error *error) {
        if (part->is_valid(text))
                return 0;
        return error_set_fault(error, -EINVAL, FAULT_INPUT, "invalid %s \"%.160s\": %s", part->what, text,
                               part->rule);
}

/* PATTERN has a %s for each of the N parts. Every part has a limit, so that the key always fits. */
static int make_key(char *ret, Error *error, const char *pattern, const Part *const *parts,
                    const char *const *texts, size_t n) {
        const char *t[5] = { "", "", "", "", "" };
        int r;

        for (size_t i = 0; i < n; i++) {
                r = check(parts[i], texts[i], error);
                if (r < 0)
                        return r;
                t[i] = texts[i];
        }
        (void) snprintf(ret, LAYOUT_KEY_MAX, pattern, t[0], t[1], t[2], t[3], t[4]);
        return 0;
}

#define PARTS(...) ((const Part *const[]){ __VA_ARGS__ })
#define TEXTS(...) ((const char *const[]){ __VA_ARGS__ })

int layout_root(uint64_t version, char ret[static LAYOUT_KEY_MAX], Error *error) {
        if (version == 0)
                return error_set_fault(error, -EINVAL, FAULT_INPUT,
                                       "invalid trust root version 0: the first is 1");
        (void) snprintf(ret, LAYOUT_KEY_MAX, LAYOUT_ROOTS "%ju" DOCUMENT_SUFFIX, (uintmax_t) version);
        return 0;
}

int layout_release(const char *app, const char *version, char ret[static LAYOUT_KEY_MAX], Error *error) {
        return make_key(ret, error, "apps/%s/releases/%s" DOCUMENT_SUFFIX, PARTS(&part_app, &part_version),
                        TEXTS(app, version), 2);
}

int layout_artifact(const char *app, const char *sha256, ArchiveFormat format,
                    char ret[static LAYOUT_KEY_MAX], Error *error) {
        const char *suffix = archive_format_to_string(format);
        size_t n;
        int r;

        if (!suffix)
                return error_set_fault(error, -EINVAL, FAULT_INPUT, "invalid archive format %d",
                                       (int) format);
        r = make_key(ret, error, "apps/%s/artifacts/%s", PARTS(&part_app, &part_sha256), TEXTS(app, sha256),
                     2);
        if (r < 0)
                return r;
        n = strlen(ret);
        (void) snprintf(ret + n, LAYOUT_KEY_MAX - n, ".%s", suffix);
        return 0;
}

static int group_key(const char *app, const char *group, const char *pattern, char *ret, Error *error) {
        return make_key(ret, error, pattern, PARTS(&part_app, &part_group), TEXTS(app, group), 2);
}

int layout_target(const char *app, const char *group, char ret[static LAYOUT_KEY_MAX], Error *error) {
        return group_key(app, group, "apps/%s/groups/%s/target" DOCUMENT_SUFFIX, ret, error);
}

int layout_freshness(const char *app, const char *group, char ret[static LAYOUT_KEY_MAX], Error *error) {
        return group_key(app, group, "apps/%s/groups/%s/freshness" DOCUMENT_SUFFIX, ret, error);
}

int layout_rollout(const char *app, const char *group, const char *rollout, char ret[static LAYOUT_KEY_MAX],
                   Error *error) {
        return make_key(ret, error, "apps/%s/groups/%s/rollouts/%s" DOCUMENT_SUFFIX,
                        PARTS(&part_app, &part_group, &part_rollout), TEXTS(app, group, rollout), 3);
}

int layout_mark(const char *app, const char *group, const char *rollout, const char *kind,
                const char *instance, char ret[static LAYOUT_KEY_MAX], Error *error) {
        return make_key(ret, error, "apps/%s/groups/%s/rollouts/%s/%s/%s" DOCUMENT_SUFFIX,
                        PARTS(&part_app, &part_group, &part_rollout, &part_kind, &part_instance),
                        TEXTS(app, group, rollout, kind, instance), 5);
}

int layout_instance(const char *app, const char *group, const char *instance, char ret[static LAYOUT_KEY_MAX],
                    Error *error) {
        return make_key(ret, error, "apps/%s/groups/%s/instances/%s" DOCUMENT_SUFFIX,
                        PARTS(&part_app, &part_group, &part_instance), TEXTS(app, group, instance), 3);
}

int layout_failure(const char *app, const char *group, const char *sha256, const char *instance,
                   char ret[static LAYOUT_KEY_MAX], Error *error) {
        return make_key(ret, error, "apps/%s/groups/%s/failures/%s/%s" DOCUMENT_SUFFIX,
                        PARTS(&part_app, &part_group, &part_sha256, &part_instance),
                        TEXTS(app, group, sha256, instance), 4);
}

int layout_releases(const char *app, char ret[static LAYOUT_KEY_MAX], Error *error) {
        return make_key(ret, error, "apps/%s/releases/", PARTS(&part_app), TEXTS(app), 1);
}

int layout_artifacts(const char *app, char ret[static LAYOUT_KEY_MAX], Error *error) {
        return make_key(ret, error, "apps/%s/artifacts/", PARTS(&part_app), TEXTS(app), 1);
}

int layout_rollout_marks(const char *app, const char *group, const char *rollout,
                         char ret[static LAYOUT_KEY_MAX], Error *error) {
        return make_key(ret, error, "apps/%s/groups/%s/rollouts/%s/",
                        PARTS(&part_app, &part_group, &part_rollout), TEXTS(app, group, rollout), 3);
}

int layout_marks(const char *app, const char *group, const char *rollout, const char *kind,
                 char ret[static LAYOUT_KEY_MAX], Error *error) {
        return make_key(ret, error, "apps/%s/groups/%s/rollouts/%s/%s/",
                        PARTS(&part_app, &part_group, &part_rollout, &part_kind),
                        TEXTS(app, group, rollout, kind), 4);
}

int layout_instances(const char *app, const char *group, char ret[static LAYOUT_KEY_MAX], Error *error) {
        return group_key(app, group, "apps/%s/groups/%s/instances/", ret, error);
}

int layout_failures(const char *app, const char *group, char ret[static LAYOUT_KEY_MAX], Error *error) {
        return group_key(app, group, "apps/%s/groups/%s/failures/", ret, error);
}

int layout_failures_of_release(const char *app, const char *group, const char *sha256,
                               char ret[static LAYOUT_KEY_MAX], Error *error) {
        return make_key(ret, error, "apps/%s/groups/%s/failures/%s/",
                        PARTS(&part_app, &part_group, &part_sha256), TEXTS(app, group, sha256), 3);
}

int layout_document_name(const char *key, const char *prefix, char ret[static LAYOUT_KEY_MAX]) {
        const char *name;
        size_t length;

        if (!string_starts_with(key, prefix))
                return -EINVAL;
        name = key + strlen(prefix);
        if (strchr(name, '/') || name[0] == '.' || !string_ends_with(name, DOCUMENT_SUFFIX))
                return -EINVAL;
        length = strlen(name) - strlen(DOCUMENT_SUFFIX);
        if (length == 0 || length >= LAYOUT_KEY_MAX)
                return -EINVAL;
        memcpy(ret, name, length);
        ret[length] = '\0';
        return 0;
}

/* What follows one component of S and its slash; NULL if there is none. */
static const char *after_component(const char *s) {
        const char *slash = strchr(s, '/');

        return slash && slash > s ? slash + 1 : NULL;
}

size_t layout_group_folder_length(const char *key) {
        const char *s;

        if (!string_starts_with(key, LAYOUT_APPS))
                return 0;
        s = after_component(key + strlen(LAYOUT_APPS));
        if (!s || !string_starts_with(s, "groups/"))
                return 0;
        s = after_component(s + strlen("groups/"));
        return s ? (size_t) (s - key) : 0;
}

/* The SHA-256 before an artifact's format. */
static bool artifact_is_valid(const char *text) {
        const char *dot = strchr(text, '.');
        char sha256[65];
        ArchiveFormat format;

        if (!dot || dot - text != 64 || archive_format_from_string(dot + 1, &format) < 0)
                return false;
        memcpy(sha256, text, 64);
        sha256[64] = '\0';
        return sha256_is_valid(sha256);
}

/* The parts of a key, by the letter that stands for them. */
static const struct {
        char letter;
        bool (*is_valid)(const char *text);
        size_t into, length; /* 0: all of it */
} parts[] = {
        { 'a', name_is_valid, offsetof(LayoutKey, app), 0 },
        { 'g', name_is_valid, offsetof(LayoutKey, group), 0 },
        { 'v', version_is_valid, offsetof(LayoutKey, name), 0 },
        { 's', artifact_is_valid, offsetof(LayoutKey, name), 64 },
        { 'r', name_is_valid, offsetof(LayoutKey, name), 0 },
        { 'h', sha256_is_valid, offsetof(LayoutKey, name), 0 },
        { 'i', layout_instance_is_valid, offsetof(LayoutKey, name), 0 },
        { 'x', name_is_valid, SIZE_MAX, 0 },            /* the kind of a mark, of which ... */
        { 'y', layout_instance_is_valid, SIZE_MAX, 0 }, /* ... and of a failure the instance is not told */
};

static const struct {
        LayoutKind kind;
        const char *pattern;
} patterns[] = {
        { LAYOUT_KIND_RELEASE, "apps/%a/releases/%v.json" },
        { LAYOUT_KIND_ARTIFACT, "apps/%a/artifacts/%s" },
        { LAYOUT_KIND_TARGET, "apps/%a/groups/%g/target.json" },
        { LAYOUT_KIND_FRESHNESS, "apps/%a/groups/%g/freshness.json" },
        { LAYOUT_KIND_REGISTER, "apps/%a/groups/%g/rollouts/%r.json" },
        { LAYOUT_KIND_MARK, "apps/%a/groups/%g/rollouts/%r/%x/%y.json" },
        { LAYOUT_KIND_REPORT, "apps/%a/groups/%g/instances/%i.json" },
        { LAYOUT_KIND_FAILURE, "apps/%a/groups/%g/failures/%h/%y.json" },
};

static bool take_part(char letter, const char *text, size_t length, LayoutKey *key) {
        char part[LAYOUT_PART_MAX];
        size_t i = 0;

        if (length >= sizeof(part))
                return false;
        memcpy(part, text, length);
        part[length] = '\0';
        while (parts[i].letter != letter)
                i++;
        if (!parts[i].is_valid(part))
                return false;
        if (parts[i].length > 0)
                part[parts[i].length] = '\0';
        if (parts[i].into != SIZE_MAX)
                memcpy((char *) key + parts[i].into, part, sizeof(part));
        return true;
}

/* Component by component: "%v.json" stands for a version and what follows it. */
static bool key_matches(const char *pattern, const char *text, LayoutKey *key) {
        for (;;) {
                size_t m = strcspn(pattern, "/"), n = strcspn(text, "/"), suffix = m - 2;

                if (pattern[0] != '%') {
                        if (m != n || memcmp(pattern, text, n) != 0)
                                return false;
                } else if (n <= suffix || memcmp(text + n - suffix, pattern + 2, suffix) != 0 ||
                           !take_part(pattern[1], text, n - suffix, key)) {
                        return false;
                }
                pattern += m;
                text += n;
                if (!*pattern || !*text)
                        return *pattern == *text;
                pattern++;
                text++;
        }
}

void layout_parse(const char *key, LayoutKey *ret) {
        for (size_t i = 0; i < ELEMENTSOF(patterns); i++) {
                LayoutKey parsed = { .kind = patterns[i].kind };

                if (key_matches(patterns[i].pattern, key, &parsed)) {
                        *ret = parsed;
                        return;
                }
        }
        *ret = (LayoutKey){};
}

const char *layout_kind_to_string(LayoutKind kind) {
        static const char *const names[LAYOUT_KINDS] = {
                [LAYOUT_KIND_FOREIGN] = "foreign",     [LAYOUT_KIND_RELEASE] = "release",
                [LAYOUT_KIND_ARTIFACT] = "artifact",   [LAYOUT_KIND_TARGET] = "target",
                [LAYOUT_KIND_FRESHNESS] = "freshness", [LAYOUT_KIND_REGISTER] = "register",
                [LAYOUT_KIND_MARK] = "mark",           [LAYOUT_KIND_REPORT] = "report",
                [LAYOUT_KIND_FAILURE] = "failure",
        };

        return names[kind];
}
