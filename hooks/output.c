#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "agent/base/file.h"
#include "agent/base/folder.h"
#include "agent/base/utf8.h"
#include "hooks/output.h"

#define CUT_MARK "\n[muster: too much output; what stood here was left out]\n"
#define JOIN " | "

int output_open(int dirfd, const char *name, uid_t owner, Error *error) {
        _cleanup_close_ int fd = -1;
        int r;

        r = fd = file_open_at(dirfd, name, O_WRONLY | O_APPEND | O_CREAT | O_NOCTTY, 0600);
        if (r >= 0 && owner != geteuid() && fchown(fd, owner, (gid_t) -1) < 0)
                r = -errno;
        if (r < 0)
                return error_set_errno(error, r, "cannot open %s for the output of a hook", name);
        return TAKE_FD(fd);
}

/* Over the end of the head, so that nobody takes what follows for the next line. */
static int mark_cut(int fd, off_t head) {
        return pwrite(fd, CUT_MARK, strlen(CUT_MARK), head - (off_t) strlen(CUT_MARK)) < 0 ? -errno : 0;
}

static int cut(int fd, off_t size, off_t block) {
        off_t from = OUTPUT_HEAD, length = (size - OUTPUT_TAIL - from) / block * block;

        if (length <= 0)
                return 0;
        if (fallocate(fd, FALLOC_FL_COLLAPSE_RANGE, from, length) == 0)
                return mark_cut(fd, from);
        if (fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, from, length) == 0)
                return mark_cut(fd, from);
        return ftruncate(fd, 0) < 0 ? -errno : 0;
}

int output_trim(int dirfd, const char *name, bool *ret_trimmed) {
        _cleanup_close_ int fd = -1;
        struct stat st;
        int r;

        fd = file_open_at(dirfd, name, O_RDWR | O_NOCTTY | O_NONBLOCK, 0);
        if (fd < 0)
                return fd;
        if (fstat(fd, &st) < 0)
                return -errno;
        *ret_trimmed = false;
        /* A file with a hole stays long; what it takes up is what counts. */
        if (!S_ISREG(st.st_mode) || st.st_size <= OUTPUT_MAX || st.st_blocks * 512 <= OUTPUT_MAX)
                return 0;
        r = cut(fd, st.st_size, MAX((off_t) st.st_blksize, (off_t) 4096));
        if (r >= 0)
                *ret_trimmed = true;
        return r;
}

int output_trim_folder(int dirfd) {
        _cleanup_closedir_ DIR *folder = NULL;
        const char *name;
        int r, result = 0;

        r = folder_open(dirfd, ".", &folder);
        while (r >= 0 && (r = folder_next(folder, &name)) > 0) {
                bool trimmed;
                int trim = output_trim(dirfd, name, &trimmed);

                if (trim < 0 && trim != -ENOENT && trim != -ELOOP && trim != -EISDIR)
                        result = trim;
        }
        return r < 0 ? r : result;
}

/* Reads the last SIZE bytes, one more to see whether a line begins there. */
static int read_end(int fd, size_t size, char *buffer, size_t *ret_size, bool *ret_whole) {
        struct stat st;
        off_t from;
        ssize_t n;

        if (fstat(fd, &st) < 0)
                return -errno;
        from = st.st_size > (off_t) size ? st.st_size - (off_t) size - 1 : 0;
        n = pread(fd, buffer, size + 1, from);
        if (n < 0)
                return -errno;
        *ret_size = (size_t) n;
        *ret_whole = from == 0 && n <= (ssize_t) size;
        return 0;
}

int output_tail(int dirfd, const char *name, size_t size, char **ret) {
        _cleanup_free_ char *buffer = NULL;
        _cleanup_close_ int fd = -1;
        char *begin, *line;
        bool whole = true;
        size_t n = 0;
        int r;

        buffer = malloc(size + 2);
        if (!buffer)
                return -ENOMEM;
        fd = file_open_at(dirfd, name, O_RDONLY | O_NOCTTY | O_NONBLOCK, 0);
        if (fd < 0)
                return fd;
        r = read_end(fd, size, buffer, &n, &whole);
        if (r < 0)
                return r;
        utf8_make_printable(buffer, n);
        buffer[n] = '\0';
        begin = buffer;
        if (!whole && n > 0) {
                line = strchr(buffer, '\n');
                begin = line && line[1] ? line + 1 : buffer + 1; /* one line that is too long: its end */
                while (((unsigned char) *begin & 0xc0) == 0x80)  /* the rest of a character */
                        begin++;
        }
        *ret = strdup(begin);
        return *ret ? 0 : -ENOMEM;
}

void output_digest(const char *tail, unsigned n, char *ret, size_t size) {
        const char *end = tail + strlen(tail);
        char *to = ret + size - 1;

        *to = '\0';
        for (unsigned lines = 0; lines < n && end > tail && to > ret;) {
                const char *line = end;
                size_t length, room;

                while (line > tail && line[-1] != '\n')
                        line--;
                length = (size_t) (end - line);
                while (length > 0 && strchr(" \t", line[length - 1]))
                        length--;
                end = line > tail ? line - 1 : tail;
                if (length == 0)
                        continue;
                if (lines++ > 0) {
                        if ((size_t) (to - ret) <= strlen(JOIN))
                                break;
                        to -= strlen(JOIN);
                        memcpy(to, JOIN, strlen(JOIN));
                }
                room = MIN(length, (size_t) (to - ret));
                to -= room;
                memcpy(to, line + length - room, room);
        }
        memmove(ret, to, strlen(to) + 1);
        utf8_make_printable(ret, strlen(ret)); /* a character may have been cut */
}
