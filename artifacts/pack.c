#include <archive.h>
#include <archive_entry.h>
#include <inttypes.h>
#include <locale.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/base/file.h"
#include "agent/base/folder.h"
#include "agent/base/strv.h"
#include "artifacts/entry_name.h"
#include "artifacts/pack.h"
#include "artifacts/unpack_protocol.h"
#include "artifacts/zstd_writer.h"

#define READ_SIZE (256U << 10)
#define TAR_BLOCK_SIZE (256 << 10) /* handed to the compressor at once */
#define FOLDER_MODE 0755
#define FILE_MODE 0644
#define PROGRAM_MODE 0755

typedef struct Packer {
        const PackOptions *options;
        struct archive *archive; /* NULL: only measure */
        ZstdWriter *writer;
        PackResult result;
        char path[UNPACK_PATH_MAX + 1];
        size_t path_length;
        uint8_t *buffer;
        Error *error;
} Packer;

static int refuse(Packer *p, const char *reason) {
        return error_set_fault(p->error, -EINVAL, FAULT_INPUT, "%s: %s", p->path, reason);
}

static int fail(Packer *p, int r) {
        return error_set_errno(p->error, r, "%s", p->path_length > 0 ? p->path : "the folder");
}

static bool is_in_use(const Packer *p) {
        return p->options && p->options->in_use;
}

/* What went wrong beneath libarchive, or in it. */
static int fail_write(Packer *p) {
        int r = zstd_writer_error(p->writer, p->error);

        return r < 0 ? r : error_set(p->error, -EIO, "%s: %s", p->path, archive_error_string(p->archive));
}

static void report(const Packer *p) {
        if (p->options && p->options->progress)
                p->options->progress(p->result.entries, p->result.unpacked_size, p->options->userdata);
}

static int write_header(Packer *p, mode_t type, mode_t mode, uint64_t size, const char *target) {
        struct archive_entry *entry;
        int r;

        if (!p->archive)
                return 0;
        entry = archive_entry_new();
        if (!entry)
                return error_oom(p->error);
        archive_entry_set_pathname(entry, p->path);
        archive_entry_set_filetype(entry, type);
        archive_entry_set_perm(entry, mode);
        archive_entry_set_uid(entry, 0);
        archive_entry_set_gid(entry, 0);
        archive_entry_set_mtime(entry, p->options ? p->options->mtime : 0, 0);
        archive_entry_set_size(entry, (la_int64_t) size);
        if (target)
                archive_entry_set_symlink(entry, target);
        r = archive_write_header(p->archive, entry) == ARCHIVE_OK ? 0 : fail_write(p);
        archive_entry_free(entry);
        return r;
}

static int write_content(Packer *p, int fd, uint64_t size) {
        uint64_t done = 0;

        for (;;) {
                ssize_t n = read(fd, p->buffer, READ_SIZE);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return fail(p, -errno);
                if (n == 0)
                        break;
                done += (uint64_t) n;
                if (done > size)
                        break;
                if (archive_write_data(p->archive, p->buffer, (size_t) n) != n)
                        return fail_write(p);
                p->result.unpacked_size += (uint64_t) n;
                report(p);
        }
        return done == size ? 0 : refuse(p, "it changed while it was read");
}

static mode_t mode_of(const Packer *p, const struct stat *st) {
        if (is_in_use(p))
                return st->st_mode & ENTRY_MODE_MASK;
        if (S_ISDIR(st->st_mode))
                return FOLDER_MODE;
        return st->st_mode & S_IXUSR ? PROGRAM_MODE : FILE_MODE;
}

static int pack_file(Packer *p, int dirfd, const char *name) {
        _cleanup_close_ int fd = -1;
        struct stat st;
        int r;

        fd = openat(dirfd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
        if (fd < 0)
                return fail(p, -errno);
        if (fstat(fd, &st) < 0)
                return fail(p, -errno);
        if (!S_ISREG(st.st_mode))
                return refuse(p, "it changed while it was read");
        if (st.st_mode & (S_ISUID | S_ISGID))
                return refuse(p, "a setuid or setgid file cannot be in a release");
        r = write_header(p, AE_IFREG, mode_of(p, &st), (uint64_t) st.st_size, NULL);
        if (r < 0)
                return r;
        if (p->archive)
                return write_content(p, fd, (uint64_t) st.st_size);
        p->result.unpacked_size += (uint64_t) st.st_size;
        return 0;
}

static int pack_link(Packer *p, int dirfd, const char *name) {
        _cleanup_free_ char *target = NULL;
        Error reason = {};
        int r;

        r = file_read_link_at(dirfd, name, &target);
        if (r < 0)
                return fail(p, r);
        if (entry_link_check(p->path, target, &reason) < 0)
                return refuse(p, reason.message);
        return write_header(p, AE_IFLNK, 0777, 0, target);
}

static int pack_content(Packer *p, int fd);

static int pack_subfolder(Packer *p, int dirfd, const char *name, const struct stat *st) {
        int fd, r;

        r = write_header(p, AE_IFDIR, mode_of(p, st), 0, NULL);
        if (r < 0)
                return r;
        fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        return fd < 0 ? fail(p, -errno) : pack_content(p, fd);
}

static int pack_entry(Packer *p, int dirfd, const char *name) {
        char normalised[UNPACK_PATH_MAX + 1];
        Error reason = {};
        struct stat st;

        if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
                return fail(p, -errno);
        if (is_in_use(p) && (S_ISSOCK(st.st_mode) || S_ISFIFO(st.st_mode)))
                return 0;
        if (entry_name_normalise(p->path, UNPACK_PATH_DEFAULT, UNPACK_DEPTH_DEFAULT, normalised, &reason) < 0)
                return refuse(p, reason.message);
        if (++p->result.entries > UNPACK_ENTRIES_MAX)
                return error_set_fault(p->error, -E2BIG, FAULT_INPUT,
                                       "the folder has more than %" PRIu64 " entries", UNPACK_ENTRIES_MAX);
        report(p);
        switch (st.st_mode & S_IFMT) {
        case S_IFREG:
                return pack_file(p, dirfd, name);
        case S_IFDIR:
                return pack_subfolder(p, dirfd, name, &st);
        case S_IFLNK:
                return pack_link(p, dirfd, name);
        default:
                return refuse(p, "only files, folders and symbolic links can be in a release");
        }
}

static int pack_named(Packer *p, int dirfd, const char *name) {
        size_t was = p->path_length, slash = was > 0 ? 1 : 0, length = strlen(name);
        int r;

        if (was + slash + length > UNPACK_PATH_MAX)
                return refuse(p, "a path beneath it is too long");
        if (slash)
                p->path[was] = '/';
        memcpy(p->path + was + slash, name, length + 1);
        p->path_length = was + slash + length;
        r = pack_entry(p, dirfd, name);
        if (r < 0)
                return r;
        p->path_length = was;
        p->path[was] = '\0';
        return 0;
}

/* Takes FD. */
static int pack_content(Packer *p, int fd) {
        _cleanup_closedir_ DIR *dir = NULL;
        _cleanup_strv_ char **names = NULL;
        int r;

        r = folder_take(fd, &dir);
        if (r >= 0)
                r = folder_names(dir, &names);
        if (r < 0)
                return fail(p, r);
        STRV_FOREACH(name, names) {
                r = pack_named(p, dirfd(dir), *name);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int pack_root(Packer *p, int folder_fd) {
        int fd = openat(folder_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        return fd < 0 ? fail(p, -errno) : pack_content(p, fd);
}

int pack_measure(int folder_fd, const PackOptions *options, PackResult *ret, Error *error) {
        const PackOptions silent = { .in_use = options && options->in_use };
        _cleanup_free_ Packer *p = calloc(1, sizeof(*p));
        int r;

        if (!p)
                return error_oom(error);
        p->options = &silent;
        p->error = error;
        r = pack_root(p, folder_fd);
        if (r >= 0)
                *ret = p->result;
        return r;
}

static la_ssize_t on_write(_unused_ struct archive *archive, void *userdata, const void *data, size_t size) {
        Packer *p = userdata;

        return zstd_writer_write(p->writer, data, size) < 0 ? ARCHIVE_FATAL : (la_ssize_t) size;
}

/* ustar, with a pax header only where a name does not fit: names are UTF-8. */
static int open_archive(Packer *p) {
        p->archive = archive_write_new();
        p->buffer = malloc(READ_SIZE);
        if (!p->archive || !p->buffer)
                return error_oom(p->error);
        if (archive_write_set_format_pax_restricted(p->archive) != ARCHIVE_OK ||
            archive_write_set_bytes_per_block(p->archive, TAR_BLOCK_SIZE) != ARCHIVE_OK ||
            archive_write_set_bytes_in_last_block(p->archive, 1) != ARCHIVE_OK ||
            archive_write_open(p->archive, p, NULL, on_write, NULL) != ARCHIVE_OK)
                return fail_write(p);
        return 0;
}

static int write_archive(Packer *p, int folder_fd) {
        int r;

        r = open_archive(p);
        if (r < 0)
                return r;
        r = pack_root(p, folder_fd);
        if (r < 0)
                return r;
        if (archive_write_close(p->archive) != ARCHIVE_OK)
                return fail_write(p);
        return zstd_writer_finish(p->writer, &p->result.size, p->error);
}

int pack_folder(int folder_fd, int fd, const PackOptions *options, PackResult *ret, Error *error) {
        _cleanup_free_ Packer *p = calloc(1, sizeof(*p));
        locale_t utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t) 0), was = NULL;
        int level = options && options->level > 0 ? options->level : PACK_LEVEL_DEFAULT, r;

        if (!p)
                return error_oom(error);
        p->options = options;
        p->error = error;
        if (utf8)
                was = uselocale(utf8);
        r = zstd_writer_new(fd, level, &p->writer, error);
        if (r >= 0)
                r = write_archive(p, folder_fd);
        if (p->archive)
                (void) archive_write_free(p->archive);
        zstd_writer_free(p->writer);
        free(p->buffer);
        if (utf8) {
                (void) uselocale(was);
                freelocale(utf8);
        }
        if (r >= 0)
                *ret = p->result;
        return r;
}
