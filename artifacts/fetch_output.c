#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/stat.h>

#include "agent/base/file.h"
#include "artifacts/fetch_output.h"

#define PIPE_SIZE (1 << 20) /* bytes; fewer turns of writer and reader than with the usual 64 KiB */

struct FetchOutput {
        sd_event *event;
        int fd;
        sd_event_source *writable; /* NULL until the reader was slower for the first time */
        bool can_block;            /* a pipe or socket */
        bool is_blocked;
        FetchOutputReady ready;
        void *userdata;
};

static int set_descriptor(FetchOutput *output, int fd) {
        struct stat st;
        int flags;

        output->fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
        if (output->fd < 0 || fstat(output->fd, &st) < 0)
                return -errno;
        output->can_block = S_ISFIFO(st.st_mode) || S_ISSOCK(st.st_mode);
        if (!output->can_block)
                return 0;
        flags = fcntl(output->fd, F_GETFL);
        if (flags < 0 || fcntl(output->fd, F_SETFL, flags | O_NONBLOCK) < 0)
                return -errno;
        (void) fcntl(output->fd, F_SETPIPE_SZ, PIPE_SIZE);
        return 0;
}

int fetch_output_new(sd_event *event, int fd, FetchOutputReady ready, void *userdata, FetchOutput **ret,
                     Error *error) {
        _cleanup_(fetch_output_freep) FetchOutput *output = NULL;
        int r;

        output = malloc(sizeof(*output));
        if (!output)
                return error_oom(error);
        *output = (FetchOutput){ .event = sd_event_ref(event), .ready = ready, .userdata = userdata };
        r = set_descriptor(output, fd);
        if (r < 0)
                return error_set_errno(error, r, "cannot use the descriptor to write to");
        *ret = TAKE_PTR(output);
        return 0;
}

FetchOutput *fetch_output_free(FetchOutput *output) {
        if (!output)
                return NULL;
        sd_event_source_disable_unref(output->writable);
        sd_event_unref(output->event);
        close_fd(output->fd);
        free(output);
        return NULL;
}

static int on_writable(_unused_ sd_event_source *source, _unused_ int fd, _unused_ uint32_t events,
                       void *userdata) {
        FetchOutput *output = userdata;

        output->is_blocked = false;
        output->ready(output->userdata);
        return 0;
}

static int wait_writable(FetchOutput *output) {
        int r = 0;

        if (!output->writable)
                r = sd_event_add_io(output->event, &output->writable, output->fd, EPOLLOUT, on_writable,
                                    output);
        if (r >= 0)
                r = sd_event_source_set_enabled(output->writable, SD_EVENT_ONESHOT);
        output->is_blocked = r >= 0;
        return r;
}

ssize_t fetch_output_write(FetchOutput *output, const void *data, size_t size) {
        ssize_t n;
        int r;

        if (output->is_blocked)
                return 0;
        if (!output->can_block) {
                r = file_write_fd(output->fd, data, size);
                return r < 0 ? r : (ssize_t) size;
        }
        do
                n = write(output->fd, data, size);
        while (n < 0 && errno == EINTR);
        if (n < 0 && errno != EAGAIN)
                return -errno;
        if (n == (ssize_t) size)
                return n;
        r = wait_writable(output);
        return r < 0 ? r : MAX(n, 0);
}

bool fetch_output_is_blocked(const FetchOutput *output) {
        return output->is_blocked;
}
