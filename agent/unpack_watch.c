#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "agent/base/clock.h"
#include "agent/base/file.h"
#include "agent/base/folder.h"
#include "agent/base/log.h"
#include "agent/base/parse.h"
#include "agent/base/task.h"
#include "agent/unpack_watch.h"

#define DEPTH_MAX 256U
#define TOLERANCE                                                                                            \
        (UINT64_C(1) << 20) /* a file that gets another name while it is counted counts half as much again */

struct UnpackWatch {
        UnpackWatchSpec spec;
        UnpackWatchExcess excess;
        void *userdata;
        sd_event_source *timer;
        Task *task;
        uint64_t bytes_at_first, inodes_at_first; /* that were free */
        uint64_t bytes, inodes;                   /* so many less are suspicious */
};

/* What the unpacker has made */

typedef struct Count {
        const UnpackWatchSpec *spec;
        uint64_t entries;
        uint64_t bytes;
        unsigned depth;
        dev_t device;
} Count;

static bool is_too_much(const Count *count) {
        return count->entries > count->spec->entries ||
               count->bytes > count->spec->bytes + count->spec->bytes / 2 + TOLERANCE;
}

static int count_folder(Count *count, int fd);

static int count_name(Count *count, int dirfd, const char *name) {
        struct stat st;
        int fd;

        if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
                return errno == ENOENT ? 0 : -errno;
        count->entries++;
        if (S_ISREG(st.st_mode))
                count->bytes += (uint64_t) st.st_size / MAX(st.st_nlink, (nlink_t) 1);
        if (!S_ISDIR(st.st_mode) || count->depth >= DEPTH_MAX)
                return 0;
        fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (fd < 0)
                return errno == ENOENT ? 0 : -errno;
        count->depth++;
        fd = count_folder(count, fd);
        count->depth--;
        return fd;
}

/* Takes FD. */
static int count_folder(Count *count, int fd) {
        _cleanup_closedir_ DIR *dir = NULL;
        const char *found;
        int r;

        r = folder_take(fd, &dir);
        if (r < 0)
                return r;
        while (!is_too_much(count) && (r = folder_next(dir, &found)) > 0) {
                r = count_name(count, fd, found);
                if (r < 0)
                        return r;
        }
        return MIN(r, 0);
}

/* Files without a name (O_TMPFILE), which only their owner's descriptors hold. */
static void count_open_files(Count *count, int proc, const char *pid) {
        _cleanup_closedir_ DIR *dir = NULL;
        struct stat st;
        char path[64];
        int fd;

        (void) snprintf(path, sizeof(path), "%.20s/fd", pid);
        fd = openat(proc, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        dir = fd < 0 ? NULL : fdopendir(fd);
        if (!dir) {
                close_fd(fd);
                return;
        }
        for (struct dirent *found; (found = readdir(dir));) {
                if (found->d_name[0] == '.' || fstatat(fd, found->d_name, &st, 0) < 0)
                        continue;
                if (S_ISREG(st.st_mode) && st.st_nlink == 0 && st.st_uid == count->spec->uid &&
                    st.st_dev == count->device) {
                        count->entries++;
                        count->bytes += (uint64_t) st.st_size;
                }
        }
}

static int count_processes(Count *count) {
        _cleanup_closedir_ DIR *proc = opendir("/proc");
        uint64_t pid;
        struct stat st;

        if (!proc)
                return -errno;
        for (struct dirent *found; (found = readdir(proc));)
                if (parse_u64(found->d_name, &pid) >= 0 && fstatat(dirfd(proc), found->d_name, &st, 0) == 0)
                        count_open_files(count, dirfd(proc), found->d_name);
        return 0;
}

int unpack_watch_count(const UnpackWatchSpec *spec, Error *error) {
        int fd = openat(spec->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), r;
        Count count = { .spec = spec };
        struct stat st;

        if (fd < 0 || fstat(fd, &st) < 0) {
                r = -errno;
                close_fd(fd);
                return error_set_errno(error, r, "the staging folder");
        }
        count.device = st.st_dev;
        r = count_folder(&count, fd);
        if (r >= 0 && !is_too_much(&count))
                r = count_processes(&count);
        if (r < 0)
                return error_set_errno(error, r, "the staging folder");
        if (!is_too_much(&count))
                return 0;
        return error_set_fault(error, -EBADMSG, FAULT_RELEASE,
                               "muster-unpack has written more than the release says (%" PRIu64
                               " entries of %" PRIu64 " bytes): the archive has taken it over",
                               spec->entries, spec->bytes);
}

/* Looking */

static int look(const UnpackWatch *watch, uint64_t *ret_bytes, uint64_t *ret_inodes) {
        struct statvfs fs;

        if (fstatvfs(watch->spec.fd, &fs) < 0)
                return -errno;
        *ret_bytes = (uint64_t) fs.f_bfree * fs.f_frsize;
        *ret_inodes = fs.f_ffree;
        return 0;
}

static int run_count(void *userdata, Error *error) {
        const UnpackWatch *watch = userdata;

        return unpack_watch_count(&watch->spec, error);
}

static void look_later(const UnpackWatch *watch) {
        (void) sd_event_source_set_time_relative(watch->timer, UNPACK_WATCH_INTERVAL);
        (void) sd_event_source_set_enabled(watch->timer, SD_EVENT_ONESHOT);
}

/* Others fill the file system: so much more must go before it is counted again. */
static void raise_limits(UnpackWatch *watch) {
        uint64_t bytes = 0, inodes = 0;

        if (look(watch, &bytes, &inodes) < 0)
                return;
        if (watch->bytes_at_first > bytes)
                watch->bytes = MAX(watch->bytes,
                                   watch->bytes_at_first - bytes + MIN(bytes / 8, UNPACK_WATCH_MARGIN));
        if (watch->inodes_at_first > inodes)
                watch->inodes = MAX(watch->inodes, watch->inodes_at_first - inodes +
                                                           MIN(inodes / 8, UNPACK_WATCH_MARGIN_INODES));
}

static void on_counted(_unused_ Task *task, int result, const Error *error, void *userdata) {
        UnpackWatch *watch = userdata;

        watch->task = task_free(watch->task);
        if (result == -EBADMSG) {
                watch->excess(watch, error, watch->userdata);
                return;
        }
        if (result < 0)
                log_debug("%s", error->message);
        raise_limits(watch);
        look_later(watch);
}

static int on_time(_unused_ sd_event_source *source, _unused_ uint64_t usec, void *userdata) {
        UnpackWatch *watch = userdata;
        uint64_t bytes = 0, inodes = 0;

        if (look(watch, &bytes, &inodes) < 0 ||
            (watch->bytes_at_first <= bytes + watch->bytes &&
             watch->inodes_at_first <= inodes + watch->inodes) ||
            task_start(watch->spec.event, "count of what is unpacked", run_count, watch, on_counted, watch,
                       &watch->task, NULL) < 0)
                look_later(watch);
        return 0;
}

static int begin(UnpackWatch *watch) {
        struct statvfs fs;

        if (fstatvfs(watch->spec.fd, &fs) < 0 ||
            look(watch, &watch->bytes_at_first, &watch->inodes_at_first) < 0)
                return -errno;
        watch->bytes = watch->spec.bytes + watch->spec.entries * fs.f_frsize +
                       MIN(watch->bytes_at_first / 8, UNPACK_WATCH_MARGIN);
        watch->inodes = watch->spec.entries + MIN(watch->inodes_at_first / 8, UNPACK_WATCH_MARGIN_INODES);
        return sd_event_add_time_relative(watch->spec.event, &watch->timer, CLOCK_MONOTONIC,
                                          UNPACK_WATCH_INTERVAL, TIMER_ACCURACY_EXACT, on_time, watch);
}

int unpack_watch_new(const UnpackWatchSpec *spec, UnpackWatchExcess excess, void *userdata, UnpackWatch **ret,
                     Error *error) {
        _cleanup_(unpack_watch_freep) UnpackWatch *watch = calloc(1, sizeof(*watch));
        int r;

        if (!watch)
                return error_oom(error);
        watch->spec = *spec;
        watch->excess = excess;
        watch->userdata = userdata;
        r = begin(watch);
        if (r < 0)
                return error_set_errno(error, r, "cannot watch the staging folder");
        *ret = TAKE_PTR(watch);
        return 0;
}

UnpackWatch *unpack_watch_free(UnpackWatch *watch) {
        if (!watch)
                return NULL;
        task_free(watch->task);
        sd_event_source_unref(watch->timer);
        free(watch);
        return NULL;
}
