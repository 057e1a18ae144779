#include <string.h>
#include <sys/stat.h>

#include "agent/base/strv.h"
#include "artifacts/depot_file.h"
#include "artifacts/depot_operation.h"
#include "artifacts/depot_s3.h"

static const DepotKind *const kinds[] = { &depot_kind_file, &depot_kind_s3 };

static const DepotKind *find_kind(const char *uri) {
        for (size_t i = 0; i < ELEMENTSOF(kinds); i++)
                if (string_starts_with(uri, kinds[i]->scheme))
                        return kinds[i];
        return NULL;
}

int depot_open(const char *uri, const DepotOptions *options, Depot **ret, Error *error) {
        const DepotKind *kind = find_kind(uri);
        _cleanup_(depot_freep) Depot *depot = NULL;
        size_t length = strlen(uri);
        int r;

        if (!kind)
                return error_set_fault(error, -EPROTONOSUPPORT, FAULT_INPUT,
                                       "depot \"%s\": expected s3://bucket/prefix or file:///folder", uri);
        depot = calloc(1, sizeof(*depot));
        if (!depot)
                return error_oom(error);
        while (length > strlen(kind->scheme) + 1 && uri[length - 1] == '/')
                length--;
        depot->uri = strndup(uri, length);
        if (!depot->uri)
                return error_oom(error);
        depot->event = sd_event_ref(options->event);
        depot->list_max = options->list_max ?: DEPOT_LIST_MAX;
        r = kind->open(depot, depot->uri + strlen(kind->scheme), options, error);
        if (r < 0) {
                error_prefix(error, "depot \"%s\"", uri);
                return r;
        }
        depot->kind = kind;
        *ret = TAKE_PTR(depot);
        return 0;
}

Depot *depot_free(Depot *depot) {
        if (!depot)
                return NULL;
        if (depot->kind)
                depot->kind->close(depot);
        sd_event_unref(depot->event);
        free(depot->uri);
        free(depot);
        return NULL;
}

const char *depot_uri(const Depot *depot) {
        return depot->uri;
}

sd_event *depot_event(const Depot *depot) {
        return depot->event;
}

int depot_key_uri(const Depot *depot, const char *key, char **ret) {
        const char *slash = string_ends_with(depot->uri, "/") ? "" : "/";

        if (!*depot->kind->scheme) {
                *ret = strdup(depot->uri);
                return *ret ? 0 : -ENOMEM;
        }
        return asprintf(ret, "%s%s%s", depot->uri, slash, key) < 0 ? -ENOMEM : 0;
}

int depot_get_start(Depot *depot, const char *key, const char *if_none_match, size_t limit, DepotDone done,
                    void *userdata, DepotOp **ret, Error *error) {
        DepotRequest request = {
                .verb = DEPOT_VERB_GET,
                .key = (char *) key,
                .etag = (char *) if_none_match,
                .limit = limit,
                .fd = -1,
        };

        return depot_op_start(depot, &request, done, userdata, ret, error);
}

int depot_get_range_start(Depot *depot, const char *key, uint64_t offset, size_t length, const char *if_match,
                          DepotSink sink, DepotDone done, void *userdata, DepotOp **ret, Error *error) {
        DepotRequest request = {
                .verb = DEPOT_VERB_GET_RANGE,
                .key = (char *) key,
                .etag = (char *) if_match,
                .offset = offset,
                .size = length,
                .fd = -1,
                .sink = sink,
        };

        if (length == 0 || offset + length < offset)
                return error_set(error, -EINVAL, "%s: a range of %zu bytes at %ju", depot->uri, length,
                                 (uintmax_t) offset);
        return depot_op_start(depot, &request, done, userdata, ret, error);
}

int depot_put_start(Depot *depot, const char *key, const void *data, size_t size, DepotCondition condition,
                    const char *etag, DepotDone done, void *userdata, DepotOp **ret, Error *error) {
        DepotRequest request = {
                .verb = DEPOT_VERB_PUT,
                .key = (char *) key,
                .etag = condition == DEPOT_MATCH ? (char *) etag : NULL,
                .condition = condition,
                .data = data ? (void *) data : (void *) "",
                .size = size,
                .fd = -1,
        };

        return depot_op_start(depot, &request, done, userdata, ret, error);
}

int depot_put_file_start(Depot *depot, const char *key, int fd, DepotCondition condition, const char *etag,
                         DepotProgress progress, DepotDone done, void *userdata, DepotOp **ret,
                         Error *error) {
        DepotRequest request = {
                .verb = DEPOT_VERB_PUT,
                .key = (char *) key,
                .etag = condition == DEPOT_MATCH ? (char *) etag : NULL,
                .condition = condition,
                .fd = fd,
                .progress = progress,
        };
        struct stat st;

        if (fstat(fd, &st) < 0)
                return error_set_errno(error, -errno, "cannot examine the content of %s", key);
        if (!S_ISREG(st.st_mode))
                return error_set(error, -EINVAL, "the content of %s is no regular file", key);
        request.size = (uint64_t) st.st_size;
        return depot_op_start(depot, &request, done, userdata, ret, error);
}

int depot_list_start(Depot *depot, const char *prefix, DepotDone done, void *userdata, DepotOp **ret,
                     Error *error) {
        DepotRequest request = { .verb = DEPOT_VERB_LIST, .key = (char *) prefix, .fd = -1 };

        return depot_op_start(depot, &request, done, userdata, ret, error);
}

int depot_delete_start(Depot *depot, const char *key, DepotDone done, void *userdata, DepotOp **ret,
                       Error *error) {
        DepotRequest request = { .verb = DEPOT_VERB_DELETE, .key = (char *) key, .fd = -1 };

        return depot_op_start(depot, &request, done, userdata, ret, error);
}

int depot_wait(DepotOp *op, DepotReply *ret, Error *error) {
        sd_event *event = op->depot->event;
        int r = 0;

        while (!op->finished && r >= 0 && sd_event_get_state(event) != SD_EVENT_FINISHED)
                r = sd_event_run(event, UINT64_MAX);
        if (op->finished) {
                r = op->result;
                if (r < 0 && error)
                        *error = op->error;
                if (r >= 0) {
                        *ret = op->reply;
                        op->reply = (DepotReply){};
                }
        } else if (r < 0) {
                error_set_errno(error, r, "%s: the event loop failed", op->depot->uri);
        } else {
                r = error_set(error, -ECANCELED, "%s: interrupted", op->depot->uri);
        }
        depot_op_free(op);
        return r;
}
