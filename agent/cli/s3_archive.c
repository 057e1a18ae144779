#include <string.h>

#include "agent/base/file.h"
#include "agent/base/strv.h"
#include "agent/cli/progress.h"
#include "agent/cli/s3_archive.h"
#include "agent/cli/temporary.h"
#include "agent/net/s3.h"
#include "artifacts/fetch_retry.h"

#define SCHEME "s3://"
#define VERSION_MARK "?versionId="

typedef struct Download {
        sd_event *event;
        AwsContext *aws;
        S3Request *request;
        ReleaseOrigin origin;
        char *if_match; /* the ETag as it was sent, once it is known */
        int fd;
        uint64_t size, received;
        Progress progress;
        bool done, explained;
        int result;
        Error error;
} Download;

static void download_deinit(Download *download) {
        s3_request_free(download->request);
        aws_context_free(download->aws);
        sd_event_unref(download->event);
        release_origin_deinit(&download->origin);
        free(download->if_match);
        close_fd(download->fd);
}

bool s3_archive_is_meant(const char *path) {
        return string_starts_with(path, SCHEME);
}

static char *last_mark(const char *key) {
        char *last = NULL;

        for (const char *at = key; (at = strstr(at, VERSION_MARK)); at++)
                last = (char *) at;
        return last;
}

/* Takes the version off the end of the key. */
static int split_version(const char *uri, ReleaseOrigin *origin, Error *error) {
        char *mark = last_mark(origin->key);

        if (!mark)
                return 0;
        *mark = '\0';
        origin->version_id = strdup(mark + strlen(VERSION_MARK));
        if (!origin->version_id)
                return error_oom(error);
        if (!*origin->key || !*origin->version_id)
                return error_set_fault(error, -EINVAL, FAULT_INPUT,
                                       "%s: there is nothing %s \"" VERSION_MARK "\"", uri,
                                       *origin->key ? "after" : "before");
        return 0;
}

int s3_archive_parse(const char *uri, ReleaseOrigin *ret, Error *error) {
        const char *bucket = uri + strlen(SCHEME), *slash = strchr(bucket, '/');
        ReleaseOrigin origin = {};
        int r;

        if (!slash || slash == bucket || !slash[1])
                return error_set_fault(
                        error, -EINVAL, FAULT_INPUT,
                        "%s: expected s3://BUCKET/KEY of an archive, or s3://BUCKET/KEY" VERSION_MARK "ID",
                        uri);
        origin.bucket = strndup(bucket, (size_t) (slash - bucket));
        origin.key = strdup(slash + 1);
        r = origin.bucket && origin.key ? split_version(uri, &origin, error) : error_oom(error);
        if (r < 0)
                release_origin_deinit(&origin);
        else
                *ret = origin;
        return r;
}

static int keep_etag(Download *download, const char *etag) {
        size_t n = strlen(etag);
        bool quoted = n >= 2 && etag[0] == '"' && etag[n - 1] == '"';
        _cleanup_free_ char *bare = quoted ? strndup(etag + 1, n - 2) : strdup(etag);

        if (!bare || string_set(&download->if_match, etag) < 0)
                return -ENOMEM;
        free(download->origin.etag);
        download->origin.etag = TAKE_PTR(bare);
        return 0;
}

/* What the first answer says of the object; "null" is the version of one from before its bucket kept versions. */
static int take_facts(Download *download) {
        S3Reply reply = s3_request_reply(download->request);
        bool versioned = reply.version_id && strcmp(reply.version_id, "null") != 0;

        if (reply.size > S3_ARCHIVE_SIZE_MAX) {
                download->explained = true;
                return error_set_fault(&download->error, -EFBIG, FAULT_INPUT,
                                       "s3://%s/%s: %ju bytes, at most %ju can be published",
                                       download->origin.bucket, download->origin.key, (uintmax_t) reply.size,
                                       (uintmax_t) S3_ARCHIVE_SIZE_MAX);
        }
        if ((reply.etag && keep_etag(download, reply.etag) < 0) ||
            (versioned && string_set(&download->origin.version_id, reply.version_id) < 0))
                return -ENOMEM;
        download->size = reply.size;
        download->progress.total = reply.size;
        return 0;
}

static int on_bytes(_unused_ HttpTransfer *transfer, const void *data, size_t size, void *userdata) {
        Download *download = userdata;
        int r = download->received == 0 ? take_facts(download) : 0;

        if (r >= 0)
                r = file_write_fd(download->fd, data, size);
        if (r < 0)
                return r;
        download->received += size;
        progress_update(&download->progress, download->received);
        return 0;
}

static void on_done(_unused_ S3Request *request, int result, const Error *error, void *userdata) {
        Download *download = userdata;

        download->done = true;
        download->result = result;
        if (result < 0 && !download->explained)
                download->error = *error;
}

/* An S3Outcome, or a negative errno with the download's error. */
static int attempt(Download *download) {
        const ReleaseOrigin *origin = &download->origin;
        const S3GetOptions options = {
                .version_id = origin->version_id,
                .if_match = download->if_match,
                .range_offset = download->received,
                .range_size = download->received > 0 ? download->size - download->received : 0,
                .sink = on_bytes,
                .sink_userdata = download,
                .timeout = S3_ARCHIVE_TIMEOUT,
        };
        int r;

        download->done = false;
        download->request = s3_request_free(download->request);
        r = s3_get_start(download->aws, origin->bucket, origin->key, &options, on_done, download,
                         &download->request, &download->error);
        while (r >= 0 && !download->done)
                r = sd_event_run(download->event, UINT64_MAX);
        if (download->done)
                return download->result;
        return download->error.message[0]
                       ? r
                       : error_set_errno(&download->error, r, "s3://%s/%s: the event loop failed",
                                         origin->bucket, origin->key);
}

static int conclude(Download *download, int outcome, Error *error) {
        const ReleaseOrigin *origin = &download->origin;

        if (outcome < 0) {
                *error = download->error;
                return outcome;
        }
        if (outcome == S3_NOT_FOUND)
                return error_set_fault(error, -ENOENT, FAULT_INPUT, "s3://%s/%s: there is no such %s",
                                       origin->bucket, origin->key,
                                       origin->version_id ? "version of that object" : "object");
        if (outcome == S3_PRECONDITION_FAILED)
                return error_set_fault(error, -ESTALE, FAULT_INPUT,
                                       "s3://%s/%s: it was replaced while it was read", origin->bucket,
                                       origin->key);
        if (outcome != S3_OK || download->received != download->size)
                return error_set_fault(error, -EBADMSG, FAULT_HOST,
                                       "s3://%s/%s: S3 gave an answer that does not fit the request (%d)",
                                       origin->bucket, origin->key, outcome);
        return 0;
}

/* Goes on for as long as each attempt brings something. */
static int fetch(Download *download, const Cli *cli, Error *error) {
        uint64_t before;
        int r;

        progress_begin(&download->progress, cli, "download", 0);
        do {
                before = download->received;
                r = attempt(download);
        } while (r < 0 && fetch_retry_is_of_use(r) && download->received > before &&
                 download->received < download->size && download->if_match);
        progress_clear(&download->progress);
        return conclude(download, r, error);
}

int s3_archive_get(const char *uri, const DepotValues *values, const Cli *cli, int *ret_fd,
                   ReleaseOrigin *ret_origin, Error *error) {
        _cleanup_(download_deinit) Download download = { .fd = -1 };
        Error own = {};
        int r;

        r = s3_archive_parse(uri, &download.origin, error);
        if (r >= 0)
                r = depot_access_aws(values, &download.event, &download.aws, error);
        if (r >= 0)
                r = download.fd = temporary_open(error);
        if (r >= 0)
                r = fetch(&download, cli, error ?: &own);
        if (r < 0)
                return r;
        *ret_fd = TAKE_FD(download.fd);
        *ret_origin = download.origin;
        download.origin = (ReleaseOrigin){};
        return 0;
}
