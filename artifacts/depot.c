#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/base/strv.h"
#include "artifacts/depot_file.h"
#include "artifacts/depot_operation.h"

static const DepotKind *const kinds[] = { &depot_kind_file };

void depot_reply_deinit(DepotReply *reply) {
        for (size_t i = 0; i < reply->n_entries; i++) {
                free(reply->entries[i].key);
                free(reply->entries[i].etag);
        }
        free(reply->entries);
        free(reply->etag);
        free(reply->body);
        *reply = (DepotReply){};
}

int depot_reply_add(DepotReply *reply, const char *key, const char *etag, uint64_t size, uint64_t modified,
                    Error *error) {
        DepotEntry entry = { .size = size, .modified = modified };
        size_t n = reply->n_entries;

        if (n >= DEPOT_LIST_MAX)
                return error_set(error, -E2BIG, "more than %u entries", DEPOT_LIST_MAX);
        if ((n & (n - 1)) == 0) { /* the array's room is a power of two */
                DepotEntry *entries = reallocarray(reply->entries, n ? n * 2 : 1, sizeof(*entries));

                if (!entries)
                        return error_oom(error);
                reply->entries = entries;
        }
        entry.key = strdup(key);
        entry.etag = etag ? strdup(etag) : NULL;
        if (!entry.key || (etag && !entry.etag)) {
                free(entry.key);
                free(entry.etag);
                return error_oom(error);
        }
        reply->entries[reply->n_entries++] = entry;
        return 0;
}

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

static bool is_utf8(const char *text) {
        for (const uint8_t *p = (const uint8_t *) text; *p;) {
                static const uint32_t least[] = { 0, 0x80, 0x800, 0x10000 };
                size_t more = *p < 0x80   ? 0
                              : *p < 0xc0 ? 4
                              : *p < 0xe0 ? 1
                              : *p < 0xf0 ? 2
                              : *p < 0xf8 ? 3
                                          : 4;
                uint32_t c;

                if (more == 4)
                        return false;
                c = more ? *p & (0x3fU >> more) : *p;
                p++;
                for (size_t i = 0; i < more; i++, p++) {
                        if ((*p & 0xc0) != 0x80)
                                return false;
                        c = c << 6 | (*p & 0x3f);
                }
                if (c < least[more] || (c >= 0xd800 && c < 0xe000) || c > 0x10ffff)
                        return false;
        }
        return true;
}

static const char *what_is_wrong_with_key(const char *key, bool is_prefix) {
        if (strlen(key) > DEPOT_KEY_MAX)
                return "too long";
        for (const char *p = key; *p; p++)
                if ((uint8_t) *p < ' ' || *p == 0x7f)
                        return "it holds a control character";
        if (!is_utf8(key))
                return "it is not UTF-8";
        for (const char *p = key;; p++) {
                size_t n = strcspn(p, "/");

                if (n == 0 && is_prefix && !p[n])
                        return NULL;
                if (n == 0)
                        return "a component is empty";
                if (*p == '.')
                        return "a component begins with a dot";
                p += n;
                if (!*p)
                        return is_prefix ? "a prefix ends with a slash" : NULL;
        }
}

static int check_key(const Depot *depot, const char *key, bool is_prefix, Error *error) {
        const char *wrong = what_is_wrong_with_key(key, is_prefix);

        if (!wrong)
                return 0;
        return error_set_fault(error, -EINVAL, FAULT_INPUT, "%s: invalid %s \"%.256s\": %s", depot->uri,
                               is_prefix ? "prefix" : "key", key, wrong);
}

static void prefix_uri(const DepotOp *op, Error *error) {
        _cleanup_free_ char *uri = NULL;

        if (error && depot_key_uri(op->depot, op->request.key, &uri) >= 0)
                error_prefix(error, "%s", uri);
}

/* Starts REQUEST, whose strings and descriptor are borrowed and get copied here. */
static int op_start(Depot *depot, const DepotRequest *request, DepotDone done, void *userdata, DepotOp **ret,
                    Error *error) {
        _cleanup_(depot_op_freep) DepotOp *op = NULL;
        int r;

        r = check_key(depot, request->key, request->verb == DEPOT_VERB_LIST, error);
        if (r < 0)
                return r;
        if (request->condition == DEPOT_MATCH && !request->etag)
                return error_set(error, -EINVAL, "%s: a write that must match an etag has none",
                                 request->key);
        op = calloc(1, sizeof(*op));
        if (!op)
                return error_oom(error);
        *op = (DepotOp){ .depot = depot, .request = *request, .done = done, .userdata = userdata };
        op->request.key = strdup(request->key);
        op->request.etag = request->etag ? strdup(request->etag) : NULL;
        op->request.data = request->data ? malloc(request->size + 1) : NULL;
        op->request.fd = request->fd < 0 ? -1 : fcntl(request->fd, F_DUPFD_CLOEXEC, 3);
        if (!op->request.key || (request->etag && !op->request.etag) || (request->data && !op->request.data))
                return error_oom(error);
        if (request->data)
                memcpy(op->request.data, request->data, request->size);
        if (request->fd >= 0 && op->request.fd < 0)
                r = error_set_errno(error, -errno, "cannot duplicate the descriptor of its content");
        else
                r = depot->kind->start(op, error);
        if (r < 0) {
                prefix_uri(op, error);
                return r;
        }
        *ret = TAKE_PTR(op);
        return 0;
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

        return op_start(depot, &request, done, userdata, ret, error);
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
        return op_start(depot, &request, done, userdata, ret, error);
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

        return op_start(depot, &request, done, userdata, ret, error);
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
        return op_start(depot, &request, done, userdata, ret, error);
}

int depot_list_start(Depot *depot, const char *prefix, DepotDone done, void *userdata, DepotOp **ret,
                     Error *error) {
        DepotRequest request = { .verb = DEPOT_VERB_LIST, .key = (char *) prefix, .fd = -1 };

        return op_start(depot, &request, done, userdata, ret, error);
}

int depot_delete_start(Depot *depot, const char *key, DepotDone done, void *userdata, DepotOp **ret,
                       Error *error) {
        DepotRequest request = { .verb = DEPOT_VERB_DELETE, .key = (char *) key, .fd = -1 };

        return op_start(depot, &request, done, userdata, ret, error);
}

DepotReply *depot_op_reply(DepotOp *op) {
        return &op->reply;
}

const char *depot_op_key(const DepotOp *op) {
        return op->request.key;
}

DepotOp *depot_op_free(DepotOp *op) {
        if (!op)
                return NULL;
        if (op->work)
                op->depot->kind->cancel(op);
        depot_reply_deinit(&op->reply);
        free(op->request.key);
        free(op->request.etag);
        free(op->request.data);
        close_fd(op->request.fd);
        free(op);
        return NULL;
}

int depot_op_deliver(DepotOp *op, const void *data, size_t size) {
        DepotReply *reply = &op->reply;

        if (op->request.sink)
                return op->request.sink(op, data, size, op->userdata);
        if (!reply->body) {
                reply->body = malloc(op->request.size + 1);
                if (!reply->body)
                        return -ENOMEM;
        }
        memcpy(reply->body + reply->body_size, data, size);
        reply->body_size += size;
        reply->body[reply->body_size] = 0;
        return 0;
}

void depot_op_finish(DepotOp *op, int result) {
        op->depot->kind->cancel(op);
        op->finished = true;
        op->result = result;
        if (result < 0) {
                depot_reply_deinit(&op->reply);
                prefix_uri(op, &op->error);
        }
        if (op->done)
                op->done(op, result, &op->error, op->userdata);
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
