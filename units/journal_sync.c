#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "agent/base/clock.h"
#include "units/journal_sync.h"

struct JournalSync {
        int fd;
        sd_event_source *io, *timer;
        JournalSyncDone done;
        void *userdata;
};

/* Any answer will do, an error too, and so will the end of the connection. */
static int on_io(_unused_ sd_event_source *source, _unused_ int fd, _unused_ uint32_t events,
                 void *userdata) {
        JournalSync *sync = userdata;

        sync->io = sd_event_source_disable_unref(sync->io);
        sync->timer = sd_event_source_disable_unref(sync->timer);
        sync->done(sync, sync->userdata);
        return 0;
}

static int on_timer(_unused_ sd_event_source *source, _unused_ uint64_t usec, void *userdata) {
        return on_io(NULL, -1, 0, userdata);
}

/* A call ends with its zero byte. */
static int call(int fd) {
        static const char request[] = "{\"method\":\"io.systemd.Journal.Synchronize\"}";
        const struct sockaddr_un address = { .sun_family = AF_UNIX, .sun_path = JOURNAL_SYNC_SOCKET };

        if (connect(fd, (const struct sockaddr *) &address, sizeof(address)) < 0)
                return -errno;
        return send(fd, request, sizeof(request), MSG_NOSIGNAL) == sizeof(request) ? 0 : -EIO;
}

int journal_sync_start(sd_event *event, JournalSyncDone done, void *userdata, JournalSync **ret,
                       Error *error) {
        _cleanup_(journal_sync_freep) JournalSync *sync = NULL;
        int r;

        sync = calloc(1, sizeof(*sync));
        if (!sync)
                return error_oom(error);
        *sync = (JournalSync){ .done = done, .userdata = userdata };
        sync->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (sync->fd < 0)
                return error_set_errno(error, -errno, "cannot make a socket");
        r = call(sync->fd);
        if (r >= 0)
                r = sd_event_add_io(event, &sync->io, sync->fd, EPOLLIN, on_io, sync);
        /* Without journald there is nothing to wait for. */
        r = sd_event_add_time_relative(event, &sync->timer, CLOCK_BOOTTIME,
                                       r < 0 ? 0 : JOURNAL_SYNC_TIMEOUT_USEC, TIMER_ACCURACY_EXACT, on_timer,
                                       sync);
        if (r < 0)
                return error_set_errno(error, r, "cannot set a timer");
        *ret = TAKE_PTR(sync);
        return 0;
}

JournalSync *journal_sync_free(JournalSync *sync) {
        if (!sync)
                return NULL;
        sd_event_source_disable_unref(sync->io);
        sd_event_source_disable_unref(sync->timer);
        close_fd(sync->fd);
        free(sync);
        return NULL;
}
