#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

#include "agent/base/utf8.h"
#include "artifacts/tree_check.h"
#include "artifacts/tree_scan.h"

const char *tree_drift_kind_to_string(TreeDriftKind kind) {
        static const char *const names[TREE_DRIFT_KINDS] = {
                [TREE_CHANGED] = "changed", [TREE_MISSING] = "missing", [TREE_EXTRA] = "extra",
                [TREE_MODE] = "mode",       [TREE_OWNER] = "owner",
        };

        return kind < TREE_DRIFT_KINDS ? names[kind] : "unknown";
}

typedef struct Check {
        const TreeRules *rules;
        TreeDriftVisit visit;
        void *userdata;
        TreeReader reader;
        TreeEntry entry; /* the next one of the manifest, while */
        bool pending;
} Check;

static int _printf_(5, 6) tell(const Check *check, TreeDriftKind kind, const char *path, Error *error,
                               const char *format, ...) {
        TreeDrift drift = { .kind = kind, .path = path };
        va_list arguments;

        va_start(arguments, format);
        utf8_vformat(drift.detail, sizeof(drift.detail), format, arguments);
        va_end(arguments);
        return check->visit(&drift, check->userdata, error);
}

static int advance(Check *check, Error *error) {
        int r = tree_reader_next(&check->reader, &check->entry, error);

        check->pending = r > 0;
        return r < 0 ? r : 0;
}

static const char *type_text(mode_t mode) {
        switch (mode & S_IFMT) {
        case S_IFDIR:
                return "a folder";
        case S_IFREG:
                return "a file";
        case S_IFLNK:
                return "a link";
        default:
                return "neither folder nor file nor link";
        }
}

static mode_t type_of(const TreeEntry *entry) {
        return entry->type == ENTRY_FOLDER ? S_IFDIR : entry->type == ENTRY_LINK ? S_IFLNK : S_IFREG;
}

static int check_owner(const Check *check, const char *path, const struct stat *st, Error *error) {
        if (st->st_uid == check->rules->uid && st->st_gid == check->rules->gid)
                return 0;
        return tell(check, TREE_OWNER, path, error, "belongs to %u:%u, expected %u:%u", (unsigned) st->st_uid,
                    (unsigned) st->st_gid, (unsigned) check->rules->uid, (unsigned) check->rules->gid);
}

static int check_mode(const Check *check, const char *path, const struct stat *st, mode_t mode,
                      Error *error) {
        if ((st->st_mode & 07777U) == mode)
                return 0;
        return tell(check, TREE_MODE, path, error, "mode %04o, expected %04o",
                    (unsigned) (st->st_mode & 07777U), (unsigned) mode);
}

static int check_content(const Check *check, const TreeFound *found, Error *error) {
        uint8_t sha256[DIGEST_SIZE];
        int r;

        if ((uint64_t) found->st->st_size != check->entry.size)
                return tell(check, TREE_CHANGED, found->path, error, "%" PRIu64 " bytes, expected %" PRIu64,
                            (uint64_t) found->st->st_size, check->entry.size);
        r = tree_found_digest(found, sha256, error);
        if (r == -ESTALE)
                return tell(check, TREE_CHANGED, found->path, error, "it changes while it is read");
        if (r < 0)
                return r;
        if (memcmp(sha256, check->entry.sha256, sizeof(sha256)) != 0)
                return tell(check, TREE_CHANGED, found->path, error, "other content");
        return 0;
}

static int check_target(const Check *check, const TreeFound *found, Error *error) {
        _cleanup_free_ char *target = NULL;
        int r;

        r = tree_found_target(found, &target, error);
        if (r < 0 && r != -ESTALE)
                return r;
        if (!target || strcmp(target, check->entry.target) != 0)
                return tell(check, TREE_CHANGED, found->path, error, "links to somewhere else");
        return 0;
}

static int compare(const Check *check, const TreeFound *found, Error *error) {
        mode_t type = type_of(&check->entry);
        int r;

        if ((found->st->st_mode & S_IFMT) != type) {
                r = tell(check, TREE_CHANGED, found->path, error, "it is %s, expected %s",
                         type_text(found->st->st_mode), type_text(type));
                return r < 0 ? r : TREE_SCAN_SKIP;
        }
        r = check_owner(check, found->path, found->st, error);
        if (r >= 0 && type != S_IFLNK)
                r = check_mode(check, found->path, found->st, check->entry.mode, error);
        if (r >= 0 && type == S_IFREG)
                r = check_content(check, found, error);
        if (r >= 0 && type == S_IFLNK)
                r = check_target(check, found, error);
        return r;
}

/* Both come in the same order: what the manifest has before PATH (NULL: to its end) is not there. */
static int tell_missing(Check *check, const char *path, Error *error) {
        while (check->pending && (!path || tree_path_compare(check->entry.path, path) < 0)) {
                int r = tell(check, TREE_MISSING, check->entry.path, error, "it is not there");

                if (r >= 0)
                        r = advance(check, error);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int on_found(const TreeFound *found, void *userdata, Error *error) {
        Check *check = userdata;
        int r, next;

        r = tell_missing(check, found->path, error);
        if (r < 0)
                return r;
        if (!check->pending || strcmp(check->entry.path, found->path) != 0) {
                r = tell(check, TREE_EXTRA, found->path, error, "%s that is not in the release",
                         type_text(found->st->st_mode));
                return r < 0 ? r : TREE_SCAN_SKIP;
        }
        r = compare(check, found, error);
        if (r < 0)
                return r;
        next = advance(check, error);
        return next < 0 ? next : r;
}

static int check_root(const Check *check, int fd, Error *error) {
        struct stat st;
        int r;

        if (fstat(fd, &st) < 0)
                return error_set_errno(error, -errno, "the release's folder");
        r = check_owner(check, ".", &st, error);
        return r < 0 ? r : check_mode(check, ".", &st, ENTRY_FOLDER_MODE_MASK, error);
}

int tree_check(int fd, const void *manifest, size_t size, const TreeRules *rules, TreeDriftVisit visit,
               void *userdata, Error *error) {
        _cleanup_free_ Check *check = calloc(1, sizeof(*check));
        int r;

        if (!check)
                return error_oom(error);
        check->rules = rules;
        check->visit = visit;
        check->userdata = userdata;
        check->reader = (TreeReader){ .data = manifest, .size = size };
        r = advance(check, error);
        if (r >= 0)
                r = check_root(check, fd, error);
        if (r >= 0)
                r = tree_scan(fd, on_found, check, error);
        return r < 0 ? r : tell_missing(check, NULL, error);
}

typedef struct Description {
        TreeText text;
        void *userdata;
        DigestContext *digest;
        Buffer line;
} Description;

static int give_line(Description *description, Error *error) {
        int r = digest_update(description->digest, description->line.data, description->line.size);

        if (r >= 0 && description->text)
                r = description->text(description->line.data, description->line.size, description->userdata);
        return r < 0 ? error_set_errno(error, r, "the manifest of a tree") : 0;
}

static int fill_entry(const TreeFound *found, TreeEntry *entry, char **target, Error *error) {
        char path[UNPACK_PATH_MAX + 1];

        entry->path = found->path;
        entry->mode = found->st->st_mode & 07777U;
        if (entry_name_normalise(found->path, UNPACK_PATH_MAX, UNPACK_DEPTH_MAX, path, error) < 0)
                return -EBADMSG;
        switch (found->st->st_mode & S_IFMT) {
        case S_IFDIR:
                entry->type = ENTRY_FOLDER;
                return 0;
        case S_IFREG:
                entry->type = ENTRY_FILE;
                entry->size = (uint64_t) found->st->st_size;
                return tree_found_digest(found, entry->sha256, error);
        case S_IFLNK:
                entry->type = ENTRY_LINK;
                return tree_found_target(found, target, error);
        default:
                return error_set(error, -EBADMSG, "it is %s", type_text(found->st->st_mode));
        }
}

static int describe(const TreeFound *found, void *userdata, Error *error) {
        _cleanup_free_ char *target = NULL;
        Description *description = userdata;
        TreeEntry entry = {};
        int r;

        r = fill_entry(found, &entry, &target, error);
        if (r == -EBADMSG) {
                error_prefix(error, "an entry that no release has");
                error_blame(error, FAULT_HOST);
        }
        if (r < 0)
                return r;
        entry.target = target;
        buffer_clear(&description->line);
        if (tree_entry_write(&entry, &description->line) < 0)
                return error_oom(error);
        return give_line(description, error);
}

int tree_describe(int fd, TreeText text, void *userdata, uint8_t ret_sha256[static DIGEST_SIZE],
                  Error *error) {
        Description description = { .text = text, .userdata = userdata };
        int r;

        if (digest_new(&description.digest) < 0 ||
            buffer_printf(&description.line, "%s", TREE_MANIFEST_HEADER) < 0)
                r = error_oom(error);
        else
                r = give_line(&description, error);
        if (r >= 0)
                r = tree_scan(fd, describe, &description, error);
        if (r >= 0 && digest_final(description.digest, ret_sha256) < 0)
                r = error_oom(error);
        digest_free(description.digest);
        buffer_deinit(&description.line);
        return r;
}
