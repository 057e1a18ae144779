#include <fcntl.h>
#include <string.h>

#include "agent/base/strv.h"
#include "artifacts/depot_operation.h"

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

int depot_op_add_entry(DepotOp *op, const char *key, const char *etag, uint64_t size, uint64_t modified,
                       Error *error) {
        DepotReply *reply = &op->reply;
        DepotEntry entry = { .size = size, .modified = modified };
        size_t n = reply->n_entries;

        if (n >= op->depot->list_max)
                return error_set(error, -E2BIG, "more than %zu entries", op->depot->list_max);
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

static const char *problem_of(const char *key, bool is_prefix) {
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

const char *depot_key_problem(const char *key) {
        return problem_of(key, false);
}

static int check_key(const Depot *depot, const char *key, bool is_prefix, Error *error) {
        const char *wrong = problem_of(key, is_prefix);

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

int depot_op_start(Depot *depot, const DepotRequest *request, DepotDone done, void *userdata, DepotOp **ret,
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
                if (!depot->kind->names_uri)
                        prefix_uri(op, error);
                return r;
        }
        *ret = TAKE_PTR(op);
        return 0;
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

        if (size > op->request.size - op->delivered)
                return error_set_fault(&op->error, -EBADMSG, FAULT_HOST,
                                       "more came than the %ju bytes that were asked for",
                                       (uintmax_t) op->request.size);
        op->delivered += size;
        if (op->request.sink)
                return op->request.sink(op, data, size, op->userdata);
        if (!reply->body) {
                reply->body = malloc(op->request.size + 1);
                if (!reply->body)
                        return error_oom(&op->error);
        }
        memcpy(reply->body + reply->body_size, data, size);
        reply->body_size += size;
        reply->body[reply->body_size] = 0;
        return 0;
}

static int check_range(DepotOp *op) {
        if (op->request.verb != DEPOT_VERB_GET_RANGE || op->reply.outcome != DEPOT_OK ||
            op->delivered == op->request.size)
                return 0;
        return error_set_fault(&op->error, -ECONNRESET, FAULT_HOST, "only %ju of %ju bytes came",
                               (uintmax_t) op->delivered, (uintmax_t) op->request.size);
}

/* What keeps a value from coming is this machine, its network or what it may do; what is too large or too
 * short is not. */
static void blame(DepotOp *op, int result) {
        if (op->error.fault == FAULT_UNKNOWN && result != -E2BIG && result != -ERANGE)
                error_blame(&op->error, FAULT_HOST);
}

void depot_op_finish(DepotOp *op, int result) {
        bool named = op->depot->kind->names_uri;

        op->depot->kind->cancel(op);
        if (result >= 0) {
                result = check_range(op);
                named = false;
        }
        op->finished = true;
        op->result = result;
        if (result < 0) {
                depot_reply_deinit(&op->reply);
                blame(op, result);
                if (!named)
                        prefix_uri(op, &op->error);
        }
        if (op->done)
                op->done(op, result, &op->error, op->userdata);
}
