#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "agent/base/file.h"
#include "agent/base/hex.h"
#include "artifacts/file_writer.h"
#include "artifacts/store_tree.h"

#define MANIFEST_MODE 0600

void store_tree_name(const char *name, char ret[static STORE_TREE_NAME_SIZE]) {
        (void) snprintf(ret, STORE_TREE_NAME_SIZE, "%s.tree", name);
}

typedef struct Manifest {
        void *data; /* mapped */
        size_t size;
} Manifest;

static void manifest_deinit(Manifest *manifest) {
        if (manifest->data)
                (void) munmap(manifest->data, manifest->size);
}

static int fail(const ReleaseStore *store, const char *name, int r, Error *error) {
        return error_set_errno(error, r, "%s/releases/%s.tree", store->path, name);
}

/* 1, or 0 if there is none that can be read. */
static int open_manifest(const ReleaseStore *store, const char *name, Manifest *ret, Error *error) {
        char file[STORE_TREE_NAME_SIZE];
        _cleanup_close_ int fd = -1;
        struct stat st;
        void *data;

        store_tree_name(name, file);
        fd = file_open_at(store->releases_fd, file, O_RDONLY | O_NONBLOCK, 0);
        if (fd == -ENOENT || fd == -ELOOP)
                return 0;
        if (fd < 0)
                return fail(store, name, fd, error);
        if (fstat(fd, &st) < 0)
                return fail(store, name, -errno, error);
        if (!S_ISREG(st.st_mode) || st.st_size <= 0 || (uint64_t) st.st_size > TREE_MANIFEST_SIZE_MAX)
                return 0;
        data = mmap(NULL, (size_t) st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (data == MAP_FAILED)
                return fail(store, name, -errno, error);
        *ret = (Manifest){ .data = data, .size = (size_t) st.st_size };
        return 1;
}

/* Without a signed digest there is nothing that it could be held against but its own form, which tree_check() sees to. */
static int is_as_signed(const Manifest *manifest, const StoreTree *tree, bool *ret, Error *error) {
        char sha256[DIGEST_HEX_SIZE];

        if (digest_sha256_hex(manifest->data, manifest->size, sha256) < 0)
                return error_oom(error);
        *ret = !*tree->sha256 || strcmp(sha256, tree->sha256) == 0;
        return 0;
}

typedef struct Drifts {
        TreeDriftVisit visit;
        void *userdata;
        uint64_t n;
} Drifts;

static int on_drift(const TreeDrift *drift, void *userdata, Error *error) {
        Drifts *drifts = userdata;

        drifts->n++;
        return drifts->visit(drift, drifts->userdata, error);
}

static int compare(const Manifest *manifest, int release, const StoreTree *tree, TreeDriftVisit visit,
                   void *userdata, Error *error) {
        Drifts drifts = { .visit = visit, .userdata = userdata };
        int r;

        r = tree_check(release, manifest->data, manifest->size, &tree->rules, on_drift, &drifts, error);
        if (r < 0)
                return r;
        if (drifts.n > 0)
                return STORE_TREE_DRIFTED;
        return *tree->sha256 ? STORE_TREE_WHOLE : STORE_TREE_KEPT;
}

/* A manifest on its way to the disk. */
typedef struct Making {
        FILE *stream; /* NULL: only its digest is wanted */
        uint64_t lines;
} Making;

static int write_text(const void *data, size_t size, void *userdata) {
        Making *making = userdata;

        making->lines++;
        if (making->stream && fwrite(data, 1, size, making->stream) != size)
                return -EIO;
        return 0;
}

/* Which StoreTreeState a tree of this manifest is in: modes and content are in its digest, its owners are not. */
static int judge(const StoreTree *tree, const Making *making, const uint8_t digest[static DIGEST_SIZE]) {
        char sha256[DIGEST_HEX_SIZE];

        hex_encode(digest, DIGEST_SIZE, sha256);
        if (*tree->sha256)
                return strcmp(sha256, tree->sha256) == 0 ? STORE_TREE_WHOLE : STORE_TREE_UNKNOWN;
        return making->lines == tree->entries + 1 ? STORE_TREE_KEPT : STORE_TREE_UNKNOWN;
}

static int describe(int release, const StoreTree *tree, Making *making, Error *error) {
        uint8_t digest[DIGEST_SIZE];
        int r;

        r = tree_describe(release, write_text, making, digest, error);
        if (r == -EBADMSG || r == -ESTALE)
                return STORE_TREE_UNKNOWN;
        return r < 0 ? r : judge(tree, making, digest);
}

static int write_manifest(FileWriter *writer, int release, const StoreTree *tree, Error *error) {
        Making making = {};
        int fd, r;

        fd = fcntl(writer->fd, F_DUPFD_CLOEXEC, 0);
        making.stream = fd < 0 ? NULL : fdopen(fd, "w");
        if (!making.stream) {
                close_fd(fd);
                return error_set_errno(error, -errno, "cannot write a manifest");
        }
        r = describe(release, tree, &making, error);
        if (fclose(making.stream) != 0 && r >= 0)
                r = error_set_errno(error, -errno, "cannot write a manifest");
        return r;
}

/* Written under another name first, and kept only if it is as signed. */
static int make_manifest(const ReleaseStore *store, const char *name, int release, const StoreTree *tree,
                         Error *error) {
        FileWriter writer = FILE_WRITER_INIT;
        char file[STORE_TREE_NAME_SIZE];
        int r, kept;

        file_writer_sweep(store->releases_fd); /* what one that was killed left */
        r = file_writer_open(&writer, store->releases_fd);
        if (r < 0)
                return fail(store, name, r, error);
        r = write_manifest(&writer, release, tree, error);
        if (r == STORE_TREE_WHOLE || r == STORE_TREE_KEPT) {
                store_tree_name(name, file);
                kept = fchmod(writer.fd, MANIFEST_MODE) < 0 ? -errno : file_writer_sync(&writer);
                if (kept >= 0)
                        kept = file_writer_commit(&writer, file, false);
                if (kept < 0)
                        r = fail(store, name, kept, error);
        }
        file_writer_deinit(&writer);
        return r;
}

struct StoreTreeMaking {
        pid_t pid; /* 0: it has ended */
        struct {
                int result;
                Error error;
        } * shared;
};

StoreTreeMaking *store_tree_making_free(StoreTreeMaking *making) {
        if (!making)
                return NULL;
        if (making->pid > 0) {
                (void) kill(making->pid, SIGKILL);
                (void) waitpid(making->pid, NULL, 0);
        }
        if (making->shared)
                (void) munmap(making->shared, sizeof(*making->shared));
        free(making);
        return NULL;
}

static _Noreturn void run_making(const StoreTreeMaking *making, pid_t parent, const ReleaseStore *store,
                                 const char *name, int fd, const StoreTree *tree) {
        Error error = {};
        int r;

        (void) prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent)
                _exit(EXIT_FAILURE);
        r = make_manifest(store, name, fd, tree, &error);
        if (r == STORE_TREE_UNKNOWN)
                r = error_set_fault(&error, -EBADMSG, FAULT_RELEASE,
                                    "what was unpacked is not the tree that the release was signed for");
        making->shared->error = error;
        making->shared->result = r < 0 ? r : 0;
        _exit(EXIT_SUCCESS);
}

int store_tree_fork(const ReleaseStore *store, const char *name, int fd, const StoreTree *tree,
                    StoreTreeMaking **ret, Error *error) {
        _cleanup_(store_tree_making_freep) StoreTreeMaking *making = calloc(1, sizeof(*making));
        pid_t parent = getpid();
        void *shared;

        if (!making)
                return error_oom(error);
        shared = mmap(NULL, sizeof(*making->shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
                      0);
        if (shared == MAP_FAILED)
                return error_oom(error);
        making->shared = shared;
        making->shared->result = -EIO;
        making->pid = fork();
        if (making->pid < 0)
                return fail(store, name, -errno, error);
        if (making->pid == 0)
                run_making(making, parent, store, name, fd, tree);
        *ret = TAKE_PTR(making);
        return 0;
}

int store_tree_join(StoreTreeMaking *making, Error *error) {
        int status;
        pid_t pid;

        do {
                pid = waitpid(making->pid, &status, 0);
        } while (pid < 0 && errno == EINTR);
        making->pid = 0;
        if (pid < 0 || !WIFEXITED(status) || WEXITSTATUS(status) != EXIT_SUCCESS)
                return error_set(error, -EIO, "the process that makes a release's manifest was ended");
        if (making->shared->result < 0 && error)
                *error = making->shared->error;
        return making->shared->result;
}

static int check_unknown(const ReleaseStore *store, const char *name, int release, const StoreTree *tree,
                         bool make, Error *error) {
        Making making = {};

        return make ? make_manifest(store, name, release, tree, error)
                    : describe(release, tree, &making, error);
}

int store_tree_check(const ReleaseStore *store, const char *name, const StoreTree *tree, bool make,
                     TreeDriftVisit visit, void *userdata, Error *error) {
        _cleanup_(manifest_deinit) Manifest manifest = {};
        _cleanup_close_ int release = -1;
        bool good = false;
        int r;

        release = store_open_release(store, name, error);
        if (release < 0)
                return release;
        r = open_manifest(store, name, &manifest, error);
        if (r > 0)
                r = is_as_signed(&manifest, tree, &good, error);
        if (r < 0)
                return r;
        if (good) {
                r = compare(&manifest, release, tree, visit, userdata, error);
                if (r != -EBADMSG)
                        return r;
        }
        return check_unknown(store, name, release, tree, make, error);
}
