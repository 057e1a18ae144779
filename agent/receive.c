#include <fcntl.h>
#include <pwd.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>

#include "agent/base/file.h"
#include "agent/base/log.h"
#include "agent/receive.h"
#include "agent/unpack_unit.h"
#include "agent/unpack_watch.h"
#include "artifacts/fetch.h"
#include "artifacts/layout.h"
#include "artifacts/store_staging.h"
#include "artifacts/unpack_protocol.h"
#include "units/transient_stop.h"

struct Receive {
        ReceiveSpec spec;
        ReceiveDone done;
        ReceiveProgress progress;
        void *userdata;
        struct passwd unpacker; /* numbers only */
        UnpackLimits limits;
        StoreStaging *staging;
        int archive_fd; /* a zip: the unlinked file it is received into; else -1 */
        int reply_fd;
        sd_event_source *reply_source;
        UnpackReplies replies;
        UnpackReply reply; /* the last one */
        Fetch *fetch;
        bool fetched;
        Error fetch_error;
        int fetch_result;
        Transient *transient;
        UnpackWatch *watch;
        bool taken_over; /* muster-unpack wrote what it must not, as `error` says */
        TransientStop *stop;
        StoreCommit *commit;
        int result; /* of everything before the unit was stopped */
        Error error;
};

static void end(Receive *receive, int result, const Error *error) {
        receive->done(receive, result, error, receive->userdata);
}

static void on_committed(_unused_ StoreCommit *commit, int result, const Error *error, void *userdata) {
        end(userdata, result, error);
}

static void commit(Receive *receive) {
        const ReceiveSpec *spec = &receive->spec;
        const StoreRelease release = {
                .version = spec->version,
                .sha256 = spec->release_sha256,
                .tree_sha256 = spec->artifact->tree_sha256,
                .envelope = spec->document,
                .envelope_size = spec->document_size,
                .entries = spec->artifact->entries,
                .unpacked_size = spec->artifact->unpacked_size,
                .unpacker = receive->unpacker.pw_uid,
                .replace = spec->replace,
        };
        Error error = {};
        int r;

        r = store_commit_start(spec->store, spec->event, receive->staging, &release, on_committed, receive,
                               &receive->commit, &error);
        if (r < 0)
                end(receive, r, &error);
}

/* Only now is nobody left who could write into the staging folder. */
static void on_stopped(_unused_ TransientStop *stop, int result, const Error *error, void *userdata) {
        Receive *receive = userdata;

        if (receive->result < 0)
                end(receive, receive->result, &receive->error);
        else if (result < 0)
                end(receive, result, error);
        else
                commit(receive);
}

static void stop_unit(Receive *receive) {
        Error error = {};
        int r;

        r = transient_stop_start(receive->spec.manager, transient_name(receive->transient), on_stopped,
                                 receive, &receive->stop, &error);
        if (r < 0)
                end(receive, r, &error);
}

/* One read of them; 0 where there are none for now, or no more. */
static int read_replies(Receive *receive, Error *error) {
        char data[4096];
        const void *p = data;
        size_t left;
        ssize_t n;
        int r;

        do
                n = read(receive->reply_fd, data, sizeof(data));
        while (n < 0 && errno == EINTR);
        if (n == 0 || (n < 0 && errno == EAGAIN))
                return 0;
        if (n < 0)
                return error_set_errno(error, -errno, "muster-unpack's answers");
        left = (size_t) n;
        do
                r = unpack_replies_feed(&receive->replies, &p, &left, &receive->reply);
        while (r > 0);
        return r < 0 ? error_set(error, r, "muster-unpack gave an answer that is none") : 1;
}

/* Once nobody is left who could write more. */
static int drain_replies(Receive *receive, Error *error) {
        int r;

        do
                r = read_replies(receive, error);
        while (r > 0);
        return r;
}

/* What broke first is told: a feed that broke off makes the unpacker fail, and an unpacker that failed breaks the
 * feed off. */
static int judge(Receive *receive, int unit_result, const Error *unit_error, Error *error) {
        int r;

        if (receive->taken_over) {
                *error = receive->error;
                return -EBADMSG;
        }
        if (receive->fetched && receive->fetch_result < 0 && receive->fetch_result != -EPIPE) {
                *error = receive->fetch_error;
                return receive->fetch_result;
        }
        r = drain_replies(receive, error);
        if (r < 0)
                return r;
        if (receive->replies.finished && receive->reply.type == UNPACK_ERROR)
                return unpack_reply_to_error(&receive->reply, error);
        if (unit_result < 0 || transient_result(receive->transient)->outcome != TRANSIENT_SUCCESS) {
                *error = *unit_error;
                error_prefix(error, "muster-unpack");
                error_blame(error, FAULT_HOST);
                return unit_result < 0 ? unit_result : -EIO;
        }
        if (!receive->replies.finished)
                return error_set(error, -EIO, "muster-unpack ended without an answer");
        return 0;
}

static void on_unpacked(_unused_ Transient *transient, int result, const Error *error, void *userdata) {
        Receive *receive = userdata;

        Error problem = {};

        receive->watch = unpack_watch_free(receive->watch);
        receive->result = judge(receive, result, error, &problem);
        receive->error = problem;
        receive->fetch = fetch_free(receive->fetch);
        receive->reply_source = sd_event_source_unref(receive->reply_source);
        stop_unit(receive);
}

static void on_excess(_unused_ UnpackWatch *watch, const Error *error, void *userdata) {
        Receive *receive = userdata;

        receive->taken_over = true;
        receive->error = *error;
        (void) transient_kill(receive->transient, SIGKILL, NULL);
}

static int start_watch(Receive *receive, Error *error) {
        const UnpackWatchSpec spec = {
                .event = receive->spec.event,
                .fd = receive->staging->fd,
                .uid = receive->unpacker.pw_uid,
                .entries = receive->limits.entries,
                .bytes = receive->limits.unpacked_size,
        };

        return unpack_watch_new(&spec, on_excess, receive, &receive->watch, error);
}

static int start_unit(Receive *receive, int stdin_fd, int stdout_fd, Error *error) {
        int r;

        r = start_watch(receive, error);
        if (r < 0)
                return r;
        return unpack_unit_start(receive->spec.manager, receive->spec.app, receive->spec.deployment,
                                 receive->staging->path, stdin_fd, stdout_fd, on_unpacked, receive,
                                 &receive->transient, error);
}

/* One read in a turn of the event loop, since one who was taken over may never cease to talk. What is wrong here shows
 * again when the unit has ended (judge); and from its last word to then its closed pipe would wake us without end. */
static int on_reply(sd_event_source *source, _unused_ int fd, uint32_t events, void *userdata) {
        Receive *receive = userdata;
        int r = read_replies(receive, NULL);

        if (r < 0 || (r == 0 && events & EPOLLHUP))
                (void) sd_event_source_set_enabled(source, SD_EVENT_OFF);
        if (r < 0)
                (void) transient_kill(receive->transient, SIGKILL, NULL);
        return 0;
}

static int make_reply_pipe(Receive *receive, int *ret_write, Error *error) {
        int fds[2], r;

        if (pipe2(fds, O_CLOEXEC) < 0)
                return error_set_errno(error, -errno, "cannot make a pipe");
        receive->reply_fd = fds[0];
        *ret_write = fds[1];
        if (fcntl(fds[0], F_SETFL, O_NONBLOCK) < 0)
                return error_set_errno(error, -errno, "cannot make a pipe");
        r = sd_event_add_io(receive->spec.event, &receive->reply_source, fds[0], EPOLLIN, on_reply, receive);
        return r < 0 ? error_set_errno(error, r, "cannot use the event loop") : 0;
}

/* The whole zip is there: only now is it unpacked. */
static int unpack_file(Receive *receive, Error *error) {
        _cleanup_close_ int reply = -1;
        int r;

        if (lseek(receive->archive_fd, 0, SEEK_SET) < 0)
                return error_set_errno(error, -errno, "cannot rewind the archive");
        r = make_reply_pipe(receive, &reply, error);
        return r < 0 ? r : start_unit(receive, receive->archive_fd, reply, error);
}

static void on_fetched(_unused_ Fetch *fetch, int result, const Error *error, void *userdata) {
        Receive *receive = userdata;
        Error problem = {};
        int r;

        receive->fetched = true;
        receive->fetch_result = result;
        if (result < 0)
                receive->fetch_error = *error;
        if (receive->archive_fd < 0)
                return; /* the unpacker sees the end of its input, and ends */
        r = result < 0 ? result : unpack_file(receive, &problem);
        if (r < 0)
                end(receive, r, result < 0 ? &receive->fetch_error : &problem);
}

static void on_progress(_unused_ Fetch *fetch, uint64_t written, uint64_t total, void *userdata) {
        Receive *receive = userdata;

        receive->progress(receive, written, total, receive->userdata);
}

static int start_fetch(Receive *receive, int fd, Error *error) {
        const ReceiveSpec *spec = &receive->spec;
        const ReleaseArtifact *artifact = spec->artifact;
        const FetchArtifact wanted = {
                .size = artifact->size,
                .chunk_size = artifact->chunk_size,
                .chunks = &artifact->chunks.items[0].sha256,
                .n_chunks = artifact->chunks.n,
        };
        char key[LAYOUT_KEY_MAX];
        int r;

        if (spec->archive_fd >= 0)
                return fetch_from_fd_start(spec->event, spec->archive_fd, "the archive", &wanted, fd,
                                           on_progress, on_fetched, receive, &receive->fetch, error);
        r = layout_artifact(spec->app, artifact->sha256, artifact->format, key, error);
        if (r < 0)
                return r;
        return fetch_start(spec->depot, key, &wanted, fd, on_progress, on_fetched, receive, &receive->fetch,
                           error);
}

static int write_header(const Receive *receive, int fd, Error *error) {
        uint8_t header[UNPACK_HEADER_SIZE];
        int r;

        r = unpack_header_encode(&receive->limits, header, error);
        if (r < 0)
                return r;
        r = file_write_fd(fd, header, sizeof(header));
        return r < 0 ? error_set_errno(error, r, "cannot write to muster-unpack") : 0;
}

static int start_pipe(Receive *receive, Error *error) {
        _cleanup_close_ int in = -1, out = -1, reply = -1;
        int fds[2], r;

        if (pipe2(fds, O_CLOEXEC) < 0)
                return error_set_errno(error, -errno, "cannot make a pipe");
        in = fds[0];
        out = fds[1];
        r = make_reply_pipe(receive, &reply, error);
        if (r >= 0)
                r = write_header(receive, out, error);
        if (r >= 0)
                r = start_unit(receive, in, reply, error);
        return r < 0 ? r : start_fetch(receive, out, error);
}

static int start_file(Receive *receive, Error *error) {
        int r;

        receive->archive_fd =
                openat(receive->spec.store->staging_fd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
        if (receive->archive_fd < 0)
                return error_set_errno(error, -errno, "cannot make a file for the archive");
        r = write_header(receive, receive->archive_fd, error);
        return r < 0 ? r : start_fetch(receive, receive->archive_fd, error);
}

static int find_unpacker(Receive *receive, Error *error) {
        const struct passwd *user;

        errno = 0;
        user = getpwnam(UNPACK_USER);
        if (!user)
                return error_set_fault(error, errno ? -errno : -ENOENT, FAULT_HOST,
                                       "there is no user " UNPACK_USER
                                       " to unpack as: is the package installed whole?");
        receive->unpacker.pw_uid = user->pw_uid;
        receive->unpacker.pw_gid = user->pw_gid;
        return 0;
}

static int begin(Receive *receive, Error *error) {
        const ReleaseArtifact *artifact = receive->spec.artifact;
        int r;

        r = find_unpacker(receive, error);
        if (r >= 0)
                r = store_stage(receive->spec.store, receive->unpacker.pw_uid, receive->unpacker.pw_gid,
                                &receive->staging, error);
        if (r < 0)
                return r;
        receive->limits =
                unpack_limits(artifact->format, artifact->size, artifact->entries, artifact->unpacked_size);
        receive->limits.wrapped = artifact->wrapping_folder;
        receive->limits.time = (uint32_t) MIN(receive->spec.created / USEC_PER_SEC, UINT32_MAX);
        return archive_format_needs_seek(artifact->format) ? start_file(receive, error)
                                                           : start_pipe(receive, error);
}

int receive_start(const ReceiveSpec *spec, ReceiveDone done, ReceiveProgress progress, void *userdata,
                  Receive **ret, Error *error) {
        _cleanup_(receive_freep) Receive *receive = NULL;
        int r;

        receive = malloc(sizeof(*receive));
        if (!receive)
                return error_oom(error);
        *receive = (Receive){
                .spec = *spec,
                .done = done,
                .progress = progress,
                .userdata = userdata,
                .archive_fd = -1,
                .reply_fd = -1,
        };
        r = begin(receive, error);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(receive);
        return 0;
}

Receive *receive_free(Receive *receive) {
        if (!receive)
                return NULL;
        fetch_free(receive->fetch);
        sd_event_source_unref(receive->reply_source);
        if (receive->transient)
                (void) transient_kill(receive->transient, SIGKILL, NULL);
        unpack_watch_free(receive->watch);
        transient_free(receive->transient);
        transient_stop_free(receive->stop);
        store_commit_free(receive->commit);
        store_staging_free(receive->staging);
        close_fd(receive->archive_fd);
        close_fd(receive->reply_fd);
        free(receive);
        return NULL;
}
