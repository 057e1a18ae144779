#include <inttypes.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "agent/base/clock.h"
#include "agent/base/file.h"
#include "artifacts/unpack_flush.h"
#include "artifacts/unpack_job.h"
#include "artifacts/unpack_thread.h"
#include "artifacts/unpack_writer.h"

#define PROGRESS_INTERVAL (200 * USEC_PER_MSEC)
#define PIPE_SIZE (1 << 20)   /* as large as the kernel lets everybody have it */
#define OUTPUT_MAX (1U << 20) /* standard output may be a file too */

typedef struct Job {
        int input_fd, folder_fd, output_fd;
        UnpackLimits limits;
        UnpackFile file;
        UnpackWriter *writer;
        UnpackFlush *flush;
        uint64_t reported; /* when progress was said last; used by the writing thread only */
        char entry[UNPACK_ENTRY_SHOWN_MAX + 1];
} Job;

static int say(const Job *job, const UnpackReply *reply) {
        char line[UNPACK_LINE_MAX];

        unpack_reply_encode(reply, line);
        return file_write_fd(job->output_fd, line, strlen(line));
}

static int say_counts(const Job *job, UnpackReplyType type) {
        UnpackCounts counts = unpack_writer_counts(job->writer);

        return say(job, &(UnpackReply){ .type = type, .entries = counts.entries, .bytes = counts.bytes });
}

/* Nobody who listens is no reason to stop. */
static void say_progress(Job *job) {
        uint64_t now = clock_boottime(&clock_system);

        if (now - job->reported < PROGRESS_INTERVAL)
                return;
        job->reported = now;
        (void) say_counts(job, UNPACK_PROGRESS);
}

static int write_entry(const UnpackEntry *entry, void *userdata, Error *error) {
        Job *job = userdata;
        UnpackSink sink = unpack_writer_sink(job->writer);

        say_progress(job);
        return sink.entry(entry, sink.userdata, error);
}

static int write_data(const void *data, size_t size, void *userdata, Error *error) {
        Job *job = userdata;
        UnpackSink sink = unpack_writer_sink(job->writer);

        say_progress(job);
        unpack_flush_written(job->flush, unpack_writer_unsent(job->writer));
        return sink.data(data, size, sink.userdata, error);
}

static int read_limits(Job *job, Error *error) {
        uint8_t header[UNPACK_HEADER_SIZE];
        size_t have = 0;

        while (have < sizeof(header)) {
                ssize_t n = read(job->input_fd, header + have, sizeof(header) - have);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return error_set_errno(error, -errno, "cannot read standard input");
                if (n == 0)
                        return error_set_fault(error, -EPIPE, FAULT_HOST,
                                               "standard input ended before the limits were read");
                have += (size_t) n;
        }
        return unpack_header_decode(header, &job->limits, error);
}

static int open_source(Job *job, UnpackSource *ret, Error *error) {
        off_t at = lseek(job->input_fd, 0, SEEK_CUR);
        struct stat st;

        job->file.fd = job->input_fd;
        if (at < 0) {
                (void) fcntl(job->input_fd, F_SETPIPE_SZ, PIPE_SIZE);
                *ret = unpack_source_pipe(&job->file);
                return 0;
        }
        if (fstat(job->input_fd, &st) < 0)
                return error_set_errno(error, -errno, "cannot read standard input");
        if (st.st_size < at || (uint64_t) (st.st_size - at) != job->limits.size)
                return error_set_fault(error, -EPIPE, FAULT_HOST,
                                       "the file on standard input does not hold the archive's %" PRIu64
                                       " bytes",
                                       job->limits.size);
        job->file.base = (uint64_t) at;
        *ret = unpack_source_file(&job->file);
        return 0;
}

/* All threads run: no other will, and no process. No file can be larger than all files together may be. */
static void lock_down(const Job *job) {
        const rlim_t size = MAX(job->limits.unpacked_size, (uint64_t) OUTPUT_MAX);
        const struct rlimit no_processes = {}, bytes = { size, size };

        (void) setrlimit(RLIMIT_NPROC, &no_processes);
        (void) setrlimit(RLIMIT_FSIZE, &bytes);
}

static int check_counts(const Job *job, const UnpackCounts *counts, Error *error) {
        if (counts->entries == job->limits.entries && counts->bytes == job->limits.unpacked_size)
                return 0;
        return error_set_fault(error, -EBADMSG, FAULT_RELEASE,
                               "the archive has %" PRIu64 " entries of %" PRIu64
                               " bytes, the release says %" PRIu64 " and %" PRIu64,
                               counts->entries, counts->bytes, job->limits.entries,
                               job->limits.unpacked_size);
}

/* When writing failed, reading was ahead: the entry to name is the one that was being written. */
static void name_written(Job *job) {
        (void) snprintf(job->entry, sizeof(job->entry), "%.*s", (int) sizeof(job->entry) - 1,
                        unpack_writer_path(job->writer));
}

static int read_and_write(Job *job, const UnpackSource *source, Error *error) {
        const UnpackSink target = { .entry = write_entry, .data = write_data, .userdata = job };
        _cleanup_(unpack_thread_freep) UnpackThread *thread = NULL;
        UnpackCounts counts = {};
        UnpackSink sink;
        Error written = {};
        int r, w;

        r = unpack_flush_start(job->folder_fd, job->limits.unpacked_size, &job->flush, error);
        if (r < 0)
                return r;
        r = unpack_thread_start(&target, &thread, error);
        if (r < 0)
                return r;
        lock_down(job);
        sink = unpack_thread_sink(thread);
        r = unpack_read(&job->limits, source, &sink, &counts, job->entry, error);
        w = unpack_thread_finish(thread, &written);
        if (w < 0) {
                if (error)
                        *error = written;
                name_written(job);
                return w;
        }
        if (r >= 0)
                r = check_counts(job, &counts, error);
        return r < 0 ? r : unpack_flush_finish(job->flush, error);
}

static int run(Job *job, Error *error) {
        UnpackSource source;
        int r;

        r = read_limits(job, error);
        if (r < 0)
                return r;
        r = open_source(job, &source, error);
        if (r < 0)
                return r;
        r = unpack_writer_new(job->folder_fd, &job->writer, error);
        if (r < 0)
                return r;
        job->reported = clock_boottime(&clock_system);
        r = read_and_write(job, &source, error);
        return r < 0 ? r : unpack_writer_finish(job->writer, job->limits.sync, error);
}

static void say_error(const Job *job, const Error *error) {
        UnpackReply reply = {
                .type = UNPACK_ERROR,
                .fault = error->fault == FAULT_RELEASE ? FAULT_RELEASE : FAULT_HOST,
        };

        memcpy(reply.entry, job->entry, sizeof(reply.entry));
        (void) entry_text_clean(error->message, reply.reason, sizeof(reply.reason));
        (void) say(job, &reply);
}

int unpack_job(int input_fd, int folder_fd, int output_fd) {
        Job job = { .input_fd = input_fd, .folder_fd = folder_fd, .output_fd = output_fd };
        Error error = {};
        int r;

        r = run(&job, &error);
        if (r < 0)
                say_error(&job, &error);
        else
                r = say_counts(&job, UNPACK_DONE);
        unpack_flush_free(job.flush);
        unpack_writer_free(job.writer);
        return r;
}
