#include <linux/magic.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "agent/base/clock.h"
#include "agent/base/file.h"
#include "agent/base/hex.h"
#include "agent/base/strv.h"
#include "agent/net/digest.h"
#include "artifacts/depot_file.h"
#include "artifacts/file_lock.h"
#include "artifacts/file_walk.h"
#include "artifacts/file_writer.h"
#include "artifacts/layout.h"

#define LOCK_NAME ".lock"
#define LOCK_RETRY_USEC (3 * USEC_PER_MSEC) /* between two looks at a lock that another process holds */
#define STEP_SIZE ((size_t) 1 << 20)        /* bytes read or written in one turn of the event loop */
#define STEP_ENTRIES 64U                    /* values that a list reads in one turn */
#define ETAG_SIZE (DIGEST_HEX_SIZE + 2)     /* with the quotes and the zero byte */

#ifndef CIFS_SUPER_MAGIC
#define CIFS_SUPER_MAGIC 0xFF534D42
#endif
#ifndef SMB2_SUPER_MAGIC
#define SMB2_SUPER_MAGIC 0xFE534D42
#endif

typedef enum StepResult {
        STEP_DONE,  /* the operation has ended */
        STEP_AGAIN, /* call work->step in the next turn of the loop */
        STEP_LATER, /* the same after a pause */
} StepResult;

typedef struct FileWork FileWork;

/* One turn's part of an operation: a StepResult, or a negative errno with op->error set. */
typedef int (*Step)(FileWork *work);

struct FileWork {
        DepotOp *op;
        Step step;
        sd_event_source *timer;
        int root;
        int value;  /* that is being read */
        int folder; /* put: where the value will be */
        int lock;
        FileWriter writer;
        DigestContext *digest;
        char etag[ETAG_SIZE];   /* put: of what is written */
        uint64_t offset;        /* bytes of the value, or entries of the list, that are done */
        size_t kept;            /* entries that are still there */
        uint64_t lock_deadline; /* boot time */
};

const char *depot_file_refused_filesystem(uint32_t type) {
        static const struct {
                uint32_t type;
                const char *name;
        } refused[] = {
                { NFS_SUPER_MAGIC, "NFS" },
                { SMB_SUPER_MAGIC, "SMB" },
                { CIFS_SUPER_MAGIC, "SMB" },
                { SMB2_SUPER_MAGIC, "SMB" },
        };

        for (size_t i = 0; i < ELEMENTSOF(refused); i++)
                if (type == refused[i].type)
                        return refused[i].name;
        return NULL;
}

static int open_root(const char *path, Error *error) {
        _cleanup_close_ int fd = -1;
        const char *refused;
        struct statfs fs;

        fd = file_open_at(AT_FDCWD, path, O_DIRECTORY | O_RDONLY, 0);
        if (fd == -ENOENT || fd == -ENOTDIR)
                return error_set_fault(error, -ENOENT, FAULT_HOST,
                                       "there is no folder %s; it must be made first", path);
        if (fd < 0)
                return error_set_errno(error, fd, "cannot open the folder %s", path);
        if (fstatfs(fd, &fs) < 0)
                return error_set_errno(error, -errno, "cannot examine the filesystem of %s", path);
        refused = depot_file_refused_filesystem((uint32_t) fs.f_type);
        if (refused)
                return error_set_fault(error, -EOPNOTSUPP, FAULT_INPUT,
                                       "%s lies on %s, where locks and renames do not hold between machines; "
                                       "a file:// depot needs a local filesystem",
                                       path, refused);
        return TAKE_FD(fd);
}

/* Opens KEY for reading: a descriptor, or -ENOENT (without a sentence) where there is no such value. */
static int open_value(FileWork *work, const char *key, struct stat *ret) {
        _cleanup_close_ int fd = -1;

        fd = file_open_at(work->root, key, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0);
        if (fd == -ENOTDIR)
                return -ENOENT;
        if (fd == -ELOOP)
                return error_set_fault(&work->op->error, fd, FAULT_HOST, "a symbolic link is in the way");
        if (fd == -ENOENT)
                return fd;
        if (fd < 0)
                return error_set_errno(&work->op->error, fd, "cannot open it");
        if (fstat(fd, ret) < 0)
                return error_set_errno(&work->op->error, -errno, "cannot examine it");
        return S_ISREG(ret->st_mode) ? TAKE_FD(fd) : -ENOENT; /* a folder, say */
}

static int reply(FileWork *work, DepotOutcome outcome) {
        work->op->reply.outcome = outcome;
        return STEP_DONE;
}

/* Gives the reply the etag of what has been put into work->digest. */
static int digest_to_etag(FileWork *work, char ret[static ETAG_SIZE]) {
        uint8_t digest[DIGEST_SIZE];

        if (digest_final(work->digest, digest) < 0)
                return error_oom(&work->op->error);
        hex_encode(digest, DIGEST_SIZE, ret + 1);
        ret[0] = ret[ETAG_SIZE - 2] = '"';
        ret[ETAG_SIZE - 1] = '\0';
        return 0;
}

static int etag_of_bytes(FileWork *work, const void *data, size_t size, char ret[static ETAG_SIZE]) {
        if (digest_update(work->digest, data, size) < 0)
                return error_oom(&work->op->error);
        return digest_to_etag(work, ret);
}

/* Puts the next piece of the open value into the digest: STEP_AGAIN, or STEP_DONE with ETAG at its end. */
static int hash_piece(FileWork *work, char ret_etag[static ETAG_SIZE]) {
        _cleanup_free_ uint8_t *piece = malloc(STEP_SIZE);
        ssize_t n;

        if (!piece)
                return error_oom(&work->op->error);
        n = pread(work->value, piece, STEP_SIZE, (off_t) work->offset);
        if (n < 0)
                return error_set_errno(&work->op->error, -errno, "cannot read it");
        if (n == 0)
                return digest_to_etag(work, ret_etag);
        if (digest_update(work->digest, piece, (size_t) n) < 0)
                return error_oom(&work->op->error);
        work->offset += (uint64_t) n;
        return STEP_AGAIN;
}

static int step_get(FileWork *work) {
        DepotOp *op = work->op;
        _cleanup_buffer_ Buffer buffer = {};
        char etag[ETAG_SIZE], *body;
        struct stat st;
        int r;

        work->value = open_value(work, op->request.key, &st);
        if (work->value == -ENOENT)
                return reply(work, DEPOT_NOT_FOUND);
        if (work->value < 0)
                return work->value;
        r = file_read_fd(work->value, (size_t) op->request.limit, &buffer);
        if (r == -E2BIG)
                return error_set(&op->error, r,
                                 "it is larger than %ju bytes, the limit for what it should be",
                                 (uintmax_t) op->request.limit);
        if (r < 0)
                return error_set_errno(&op->error, r, "cannot read it");
        r = etag_of_bytes(work, buffer.data, buffer.size, etag);
        if (r < 0)
                return r;
        if (string_set(&op->reply.etag, etag) < 0)
                return error_oom(&op->error);
        op->reply.size = buffer.size;
        if (op->request.etag && strcmp(etag, op->request.etag) == 0)
                return reply(work, DEPOT_NOT_MODIFIED);
        if (buffer_steal(&buffer, &body, &op->reply.body_size) < 0)
                return error_oom(&op->error);
        op->reply.body = (uint8_t *) body;
        return STEP_DONE;
}

static int step_range_read(FileWork *work) {
        DepotOp *op = work->op;
        size_t size = (size_t) MIN(op->request.size - work->offset, (uint64_t) STEP_SIZE);
        _cleanup_free_ uint8_t *piece = malloc(size);
        ssize_t n;
        int r;

        if (!piece)
                return error_oom(&op->error);
        n = pread(work->value, piece, size, (off_t) (op->request.offset + work->offset));
        if (n < 0)
                return error_set_errno(&op->error, -errno, "cannot read it");
        if (n == 0)
                return error_set(&op->error, -ECONNRESET, "it became shorter while it was being read");
        r = depot_op_deliver(op, piece, (size_t) n);
        if (r < 0)
                return r;
        work->offset += (uint64_t) n;
        return work->offset < op->request.size ? STEP_AGAIN : STEP_DONE;
}

static int step_range_match(FileWork *work) {
        char etag[ETAG_SIZE];
        int r;

        r = hash_piece(work, etag);
        if (r != STEP_DONE)
                return r;
        if (strcmp(etag, work->op->request.etag) != 0)
                return reply(work, DEPOT_PRECONDITION_FAILED);
        if (string_set(&work->op->reply.etag, etag) < 0)
                return error_oom(&work->op->error);
        work->offset = 0;
        work->step = step_range_read;
        return STEP_AGAIN;
}

static int step_range(FileWork *work) {
        DepotOp *op = work->op;
        const DepotRequest *request = &op->request;
        struct stat st;

        work->value = open_value(work, request->key, &st);
        if (work->value == -ENOENT)
                return reply(work, DEPOT_NOT_FOUND);
        if (work->value < 0)
                return work->value;
        op->reply.size = (uint64_t) st.st_size;
        if (request->offset + request->size > op->reply.size)
                return error_set(&op->error, -ERANGE, "it has %ju bytes, and %ju to %ju were asked for",
                                 (uintmax_t) op->reply.size, (uintmax_t) request->offset,
                                 (uintmax_t) (request->offset + request->size - 1));
        work->step = request->etag ? step_range_match : step_range_read;
        return STEP_AGAIN;
}

/* STEP_DONE with the lock held, STEP_LATER while another process has it. */
static int take_lock(FileWork *work) {
        const char *key = work->op->request.key;
        uint64_t now = clock_boottime(&clock_system);
        _cleanup_free_ char *path = NULL;

        if (work->lock_deadline == 0)
                work->lock_deadline = usec_add(now, DEPOT_FILE_LOCK_TIMEOUT);
        if (asprintf(&path, "%.*s" LOCK_NAME, (int) layout_group_folder_length(key), key) < 0)
                return error_oom(&work->op->error);
        work->lock = file_lock_try(work->root, path);
        if (work->lock >= 0)
                return STEP_DONE;
        if (work->lock != -EAGAIN)
                return error_set_errno(&work->op->error, work->lock, "cannot lock %s", path);
        if (now < work->lock_deadline)
                return STEP_LATER;
        return error_set_fault(&work->op->error, -ETIMEDOUT, FAULT_HOST,
                               "another process has held the lock %s for %ju s", path,
                               (uintmax_t) (DEPOT_FILE_LOCK_TIMEOUT / USEC_PER_SEC));
}

static const char *last_component(const char *key) {
        const char *slash = strrchr(key, '/');

        return slash ? slash + 1 : key;
}

static int step_put_commit(FileWork *work) {
        DepotOp *op = work->op;
        bool create = op->request.condition == DEPOT_CREATE;
        int r;

        r = file_writer_commit(&work->writer, last_component(op->request.key), create);
        if (r == -EEXIST && create)
                return reply(work, DEPOT_PRECONDITION_FAILED);
        if (r < 0)
                return error_set_errno(&op->error, r, "cannot write it");
        return string_set(&op->reply.etag, work->etag) < 0 ? error_oom(&op->error) : STEP_DONE;
}

static int step_put_match(FileWork *work) {
        char etag[ETAG_SIZE];
        int r;

        r = hash_piece(work, etag);
        if (r != STEP_DONE)
                return r;
        if (strcmp(etag, work->op->request.etag) != 0)
                return reply(work, DEPOT_PRECONDITION_FAILED);
        return step_put_commit(work);
}

static int step_put_lock(FileWork *work) {
        struct stat st;
        int r;

        r = take_lock(work);
        if (r != STEP_DONE)
                return r;
        if (work->op->request.condition != DEPOT_MATCH)
                return step_put_commit(work);
        work->value = open_value(work, work->op->request.key, &st);
        if (work->value == -ENOENT)
                return reply(work, DEPOT_PRECONDITION_FAILED);
        if (work->value < 0)
                return work->value;
        work->offset = 0;
        work->step = step_put_match;
        return STEP_AGAIN;
}

/* The next piece of what is to be written, in place or read into PIECE. */
static int next_piece(FileWork *work, uint8_t *piece, const uint8_t **ret, size_t *ret_size) {
        const DepotRequest *request = &work->op->request;
        size_t size = (size_t) MIN(request->size - work->offset, (uint64_t) STEP_SIZE);
        ssize_t n;

        if (request->data) {
                *ret = (const uint8_t *) request->data + work->offset;
                *ret_size = size;
                return 0;
        }
        n = pread(request->fd, piece, size, (off_t) work->offset);
        if (n < 0)
                return error_set_errno(&work->op->error, -errno, "cannot read what is to be written");
        if (n == 0)
                return error_set(&work->op->error, -EIO, "what is to be written became shorter meanwhile");
        *ret = piece;
        *ret_size = (size_t) n;
        return 0;
}

static int write_piece(FileWork *work) {
        DepotOp *op = work->op;
        _cleanup_free_ uint8_t *buffer = NULL;
        const uint8_t *piece = NULL;
        size_t size = 0;
        int r;

        if (!op->request.data) {
                buffer = malloc(STEP_SIZE);
                if (!buffer)
                        return error_oom(&op->error);
        }
        r = next_piece(work, buffer, &piece, &size);
        if (r < 0)
                return r;
        r = file_write_fd(work->writer.fd, piece, size);
        if (r < 0)
                return error_set_errno(&op->error, r, "cannot write it");
        if (digest_update(work->digest, piece, size) < 0)
                return error_oom(&op->error);
        work->offset += size;
        if (op->request.progress)
                op->request.progress(op, work->offset, op->request.size, op->userdata);
        return STEP_AGAIN;
}

static int step_put_write(FileWork *work) {
        int r;

        if (work->offset < work->op->request.size)
                return write_piece(work);
        r = digest_to_etag(work, work->etag);
        if (r < 0)
                return r;
        r = file_writer_sync(&work->writer);
        if (r < 0)
                return error_set_errno(&work->op->error, r, "cannot write it");
        work->step = step_put_lock;
        return STEP_AGAIN;
}

static int step_put(FileWork *work) {
        const char *key = work->op->request.key, *name = last_component(key);
        _cleanup_free_ char *folder = NULL;
        int r;

        folder = name == key ? strdup(".") : strndup(key, (size_t) (name - key - 1));
        if (!folder)
                return error_oom(&work->op->error);
        work->folder = file_open_folder_at(work->root, folder, 0777);
        if (work->folder < 0)
                return error_set_errno(&work->op->error, work->folder, "cannot open or make its folder");
        file_writer_sweep(work->folder);
        r = file_writer_open(&work->writer, work->folder);
        if (r < 0)
                return error_set_errno(&work->op->error, r, "cannot make a file in its folder");
        work->step = step_put_write;
        return STEP_AGAIN;
}

static int step_delete(FileWork *work) {
        _cleanup_close_ int value = -1;
        struct stat st;
        int r;

        value = open_value(work, work->op->request.key, &st);
        if (value == -ENOENT)
                return STEP_DONE;
        if (value < 0)
                return value;
        r = take_lock(work);
        if (r != STEP_DONE)
                return r;
        r = file_remove_at(work->root, work->op->request.key);
        return r < 0 ? error_set_errno(&work->op->error, r, "cannot remove it") : STEP_DONE;
}

static int describe_entry(FileWork *work, DepotEntry *entry) {
        _cleanup_buffer_ Buffer buffer = {};
        _cleanup_close_ int fd = -1;
        char etag[ETAG_SIZE];
        struct stat st;
        int r;

        fd = open_value(work, entry->key, &st);
        if (fd < 0)
                return fd;
        entry->size = (uint64_t) st.st_size;
        entry->modified = (uint64_t) st.st_mtim.tv_sec * USEC_PER_SEC + (uint64_t) st.st_mtim.tv_nsec / 1000;
        if (entry->size > DEPOT_LARGE_SIZE)
                return 0;
        r = file_read_fd(fd, DEPOT_LARGE_SIZE, &buffer);
        if (r < 0)
                return error_set_errno(&work->op->error, r, "cannot read %s", entry->key);
        r = etag_of_bytes(work, buffer.data, buffer.size, etag);
        if (r < 0)
                return r;
        return string_set(&entry->etag, etag) < 0 ? error_oom(&work->op->error) : 0;
}

/* Those that have gone since the walk are dropped: the ones kept move up. */
static int step_list_describe(FileWork *work) {
        DepotReply *list = &work->op->reply;
        size_t end = MIN((size_t) work->offset + STEP_ENTRIES, list->n_entries);

        for (; work->offset < end; work->offset++) {
                DepotEntry entry = list->entries[work->offset];
                int r;

                list->entries[work->offset] = (DepotEntry){};
                r = describe_entry(work, &entry);
                if (r >= 0) {
                        list->entries[work->kept++] = entry;
                        continue;
                }
                free(entry.key);
                free(entry.etag);
                if (r != -ENOENT)
                        return r;
        }
        if (end < list->n_entries)
                return STEP_AGAIN;
        list->n_entries = work->kept;
        return STEP_DONE;
}

static int compare_entries(const void *a, const void *b) {
        return strcmp(((const DepotEntry *) a)->key, ((const DepotEntry *) b)->key);
}

static int on_file(const char *path, void *userdata, Error *error) {
        return depot_op_add_entry(userdata, path, NULL, 0, 0, error);
}

static int step_list(FileWork *work) {
        DepotOp *op = work->op;
        int r;

        r = file_walk(work->root, op->request.key, on_file, op, &op->error);
        if (r < 0)
                return r;
        if (op->reply.n_entries > 0)
                qsort(op->reply.entries, op->reply.n_entries, sizeof(DepotEntry), compare_entries);
        work->step = step_list_describe;
        return STEP_AGAIN;
}

static const Step first_steps[_DEPOT_VERB_MAX] = {
        [DEPOT_VERB_GET] = step_get,   [DEPOT_VERB_GET_RANGE] = step_range, [DEPOT_VERB_PUT] = step_put,
        [DEPOT_VERB_LIST] = step_list, [DEPOT_VERB_DELETE] = step_delete,
};

static int step_root(FileWork *work) {
        DepotOp *op = work->op;

        work->root = open_root(op->depot->data, &op->error);
        if (work->root < 0)
                return work->root;
        work->step = first_steps[op->request.verb];
        return work->step(work);
}

static int on_timer(sd_event_source *timer, _unused_ uint64_t usec, void *userdata) {
        FileWork *work = userdata;
        DepotOp *op = work->op;
        int r;

        r = work->step(work);
        if (r == STEP_AGAIN || r == STEP_LATER) {
                r = sd_event_source_set_time_relative(timer, r == STEP_LATER ? LOCK_RETRY_USEC : 0);
                if (r >= 0)
                        r = sd_event_source_set_enabled(timer, SD_EVENT_ONESHOT);
                if (r >= 0)
                        return 0;
                error_set_errno(&op->error, r, "cannot set a timer");
        }
        op->reply.server_time = clock_realtime(&clock_system);
        depot_op_finish(op, r);
        return 0;
}

static FileWork *work_free(FileWork *work) {
        if (!work)
                return NULL;
        sd_event_source_disable_unref(work->timer);
        file_writer_deinit(&work->writer);
        digest_free(work->digest);
        close_fd(work->lock);
        close_fd(work->folder);
        close_fd(work->value);
        close_fd(work->root);
        free(work);
        return NULL;
}
DEFINE_CLEANUP(FileWork *, work_free)

static int file_start(DepotOp *op, Error *error) {
        _cleanup_(work_freep) FileWork *work = NULL;
        int r;

        work = malloc(sizeof(*work));
        if (!work)
                return error_oom(error);
        *work = (FileWork){
                .op = op,
                .step = step_root,
                .root = -1,
                .value = -1,
                .folder = -1,
                .lock = -1,
                .writer = FILE_WRITER_INIT,
        };
        if (digest_new(&work->digest) < 0)
                return error_oom(error);
        r = sd_event_add_time_relative(op->depot->event, &work->timer, CLOCK_BOOTTIME, 0,
                                       TIMER_ACCURACY_EXACT, on_timer, work);
        if (r < 0)
                return error_set_errno(error, r, "cannot set a timer");
        op->work = TAKE_PTR(work);
        return 0;
}

static void file_cancel(DepotOp *op) {
        op->work = work_free(op->work);
}

static int file_open(Depot *depot, const char *rest, _unused_ const DepotOptions *options, Error *error) {
        if (rest[0] != '/')
                return error_set_fault(
                        error, -EINVAL, FAULT_INPUT,
                        "expected three slashes and an absolute path, as in file:///srv/depot");
        depot->data = strdup(rest);
        return depot->data ? 0 : error_oom(error);
}

static void file_close(Depot *depot) {
        free(depot->data);
}

const DepotKind depot_kind_file = {
        .scheme = "file://",
        .open = file_open,
        .close = file_close,
        .start = file_start,
        .cancel = file_cancel,
};
