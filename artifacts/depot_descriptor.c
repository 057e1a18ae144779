#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "artifacts/depot_descriptor.h"
#include "artifacts/depot_operation.h"

#define STEP_SIZE ((size_t) 1 << 20) /* bytes read in one turn of the event loop */

typedef struct DescriptorDepot {
        int fd;
} DescriptorDepot;

typedef struct DescriptorWork {
        DepotOp *op;
        sd_event_source *turn;
        uint64_t done; /* bytes */
        uint8_t piece[STEP_SIZE];
} DescriptorWork;

/* The next piece of the range: 0 once it is whole, 1 before. */
static int deliver_piece(DescriptorWork *work) {
        DepotOp *op = work->op;
        const DescriptorDepot *depot = op->depot->data;
        size_t size = (size_t) MIN(op->request.size - work->done, (uint64_t) STEP_SIZE);
        ssize_t n;
        int r;

        n = pread(depot->fd, work->piece, size, (off_t) (op->request.offset + work->done));
        if (n < 0)
                return error_set_errno(&op->error, -errno, "cannot read it");
        if (n == 0)
                return error_set(&op->error, -ERANGE, "it is shorter than %ju bytes",
                                 (uintmax_t) (op->request.offset + op->request.size));
        r = depot_op_deliver(op, work->piece, (size_t) n);
        if (r < 0)
                return r;
        work->done += (uint64_t) n;
        return work->done < op->request.size;
}

static int on_turn(_unused_ sd_event_source *source, void *userdata) {
        DescriptorWork *work = userdata;
        int r;

        r = deliver_piece(work);
        if (r <= 0)
                depot_op_finish(work->op, r);
        return 0;
}

static int descriptor_start(DepotOp *op, Error *error) {
        const DescriptorDepot *depot = op->depot->data;
        DescriptorWork *work;
        struct stat st;
        int r;

        if (op->request.verb != DEPOT_VERB_GET_RANGE)
                return error_set(error, -EOPNOTSUPP, "only ranges of it can be read");
        if (fstat(depot->fd, &st) < 0)
                return error_set_errno(error, -errno, "cannot examine it");
        work = malloc(sizeof(*work));
        if (!work)
                return error_oom(error);
        work->op = op;
        work->turn = NULL;
        work->done = 0;
        op->work = work;
        op->reply.size = (uint64_t) st.st_size;
        r = sd_event_add_defer(op->depot->event, &work->turn, on_turn, work);
        if (r >= 0)
                r = sd_event_source_set_enabled(work->turn, SD_EVENT_ON);
        return r < 0 ? error_set_errno(error, r, "cannot add to the event loop") : 0;
}

static void descriptor_cancel(DepotOp *op) {
        DescriptorWork *work = op->work;

        if (work)
                sd_event_source_disable_unref(work->turn);
        free(work);
        op->work = NULL;
}

static void descriptor_close(Depot *depot) {
        DescriptorDepot *data = depot->data;

        close_fd(data->fd);
        free(data);
}

static const DepotKind kind_descriptor = {
        .scheme = "",
        .close = descriptor_close,
        .start = descriptor_start,
        .cancel = descriptor_cancel,
};

int depot_open_descriptor(sd_event *event, int fd, const char *name, Depot **ret, Error *error) {
        _cleanup_(depot_freep) Depot *depot = NULL;
        DescriptorDepot *data;

        depot = calloc(1, sizeof(*depot));
        if (!depot)
                return error_oom(error);
        depot->event = sd_event_ref(event);
        depot->uri = strdup(name);
        data = malloc(sizeof(*data));
        if (!depot->uri || !data) {
                free(data);
                return error_oom(error);
        }
        depot->data = data;
        depot->kind = &kind_descriptor;
        data->fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
        if (data->fd < 0)
                return error_set_errno(error, -errno, "cannot duplicate the descriptor of %s", name);
        *ret = TAKE_PTR(depot);
        return 0;
}
