#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/base/file.h"
#include "agent/files_attributes.h"
#include "agent/files_same.h"

#define PIECE_SIZE (64U << 10)

static bool same_content(int a, int b) {
        _cleanup_free_ uint8_t *x = malloc(PIECE_SIZE), *y = malloc(PIECE_SIZE);
        ssize_t n, m;
        off_t at = 0;

        if (!x || !y)
                return false;
        do {
                n = pread(a, x, PIECE_SIZE, at);
                m = pread(b, y, PIECE_SIZE, at);
                if (n < 0 || n != m || memcmp(x, y, (size_t) n) != 0)
                        return false;
                at += n;
        } while (n > 0);
        return true;
}

static bool same_file(const FilesEntry *entry, int release_fd, int folder, const char *name) {
        _cleanup_close_ int there = -1, wanted = -1;
        struct stat st, st_wanted;

        there = openat(folder, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
        if (there < 0 || fstat(there, &st) < 0 || !S_ISREG(st.st_mode))
                return false;
        wanted = file_open_at(release_fd, entry->source, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0);
        if (wanted < 0 || fstat(wanted, &st_wanted) < 0 || st.st_size != st_wanted.st_size)
                return false;
        return same_content(there, wanted);
}

static bool same_link(const FilesEntry *entry, int folder, const char *name) {
        char target[FILES_PATH_MAX];
        ssize_t n = readlinkat(folder, name, target, sizeof(target));

        return n >= 0 && (size_t) n == strlen(entry->target) &&
               memcmp(target, entry->target, (size_t) n) == 0;
}

bool files_same_content(const FilesEntry *entry, int release_fd, int folder, const char *name) {
        if (entry->type == ENTRY_LINK)
                return same_link(entry, folder, name);
        return entry->type == ENTRY_FOLDER || same_file(entry, release_fd, folder, name);
}

/* A list that the release before asked for is not to outlive it. */
static bool has_no_list_of_its_own(int folder, const char *name) {
        _cleanup_close_ int fd = -1, above = -1;

        fd = openat(folder, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
        above = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC); /* FOLDER may be for its path only */
        return fd >= 0 && above >= 0 && files_attributes_are_inherited(fd, above);
}

static bool same_rights(const FilesEntry *entry, int folder, const char *name) {
        struct stat st;

        if (entry->permission && (entry->permission->acls.n > 0 || entry->permission->context.type))
                return false; /* these are set anew */
        return fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && (st.st_mode & 07777U) == entry->mode &&
               st.st_uid == entry->uid && st.st_gid == entry->gid && has_no_list_of_its_own(folder, name);
}

static bool same_size(const FilesEntry *entry, int folder, const char *name) {
        struct stat st;

        return fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode) &&
               (uint64_t) st.st_size == entry->size;
}

bool files_same(const FilesEntry *entry, int release_fd, int folder, const char *name) {
        if (release_fd < 0 && entry->type == ENTRY_FILE)
                return same_rights(entry, folder, name) && same_size(entry, folder, name);
        return (entry->type == ENTRY_LINK || same_rights(entry, folder, name)) &&
               files_same_content(entry, release_fd, folder, name);
}
