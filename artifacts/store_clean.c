#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "agent/base/file.h"
#include "agent/base/file_users.h"
#include "agent/base/folder.h"
#include "agent/base/random.h"
#include "agent/base/strv.h"
#include "agent/base/task.h"
#include "artifacts/file_writer.h"
#include "artifacts/retention.h"
#include "artifacts/store_clean.h"
#include "artifacts/store_tree.h"

#define MEASURE_DEPTH_MAX 256U
#define NAMES_A_BITE 256U

/* What the children find out, for the event loop to see. */
typedef struct Survey {
        bool left_some; /* a process runs from something that is to go */
        struct {
                uint64_t bytes;
                bool needed; /* by the caller */
                bool live;   /* a process runs from it */
        } releases[];
} Survey;

struct StoreClean {
        const ReleaseStore *store;
        sd_event *event;
        StoreRetention retention;
        StoreInUse in_use;
        StoreCleanDone done;
        void *userdata;
        StoreEntry *entries;
        size_t count;
        Survey *survey; /* shared; a row for each entry */
        char *in_staging;
        char **doomed; /* names in staging/ */
        Task *task;
};

static size_t survey_size(const StoreClean *clean) {
        return sizeof(*clean->survey) + clean->count * sizeof(clean->survey->releases[0]);
}

StoreClean *store_clean_free(StoreClean *clean) {
        if (!clean)
                return NULL;
        task_free(clean->task);
        sd_event_unref(clean->event);
        strv_free(clean->doomed);
        free(clean->in_staging);
        if (clean->survey)
                (void) munmap(clean->survey, survey_size(clean));
        free(clean->entries);
        free(clean);
        return NULL;
}

bool store_clean_left_some(const StoreClean *clean) {
        return clean->survey->left_some;
}

/* Calls VISIT for every name in a folder but "." and "..". */
static int for_each_name(int dirfd_, const char *path, int (*visit)(int fd, const char *name, void *userdata),
                         void *userdata) {
        _cleanup_closedir_ DIR *dir = NULL;
        int fd = openat(dirfd_, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC), r;
        const char *found;

        r = fd < 0 ? -errno : folder_take(fd, &dir);
        if (r < 0)
                return r;
        while ((r = folder_next(dir, &found)) > 0) {
                r = visit(fd, found, userdata);
                if (r < 0)
                        return r;
        }
        return r;
}

typedef struct Measure {
        uint64_t bytes;
        unsigned depth;
} Measure;

static int measure_entry(int fd, const char *name, void *userdata) {
        Measure *measure = userdata;
        struct stat st;
        int r = 0;

        if (fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
                return errno == ENOENT ? 0 : -errno;
        measure->bytes += (uint64_t) st.st_blocks * 512;
        if (S_ISDIR(st.st_mode) && measure->depth < MEASURE_DEPTH_MAX) {
                measure->depth++;
                r = for_each_name(fd, name, measure_entry, measure);
                measure->depth--;
        }
        return r == -ENOENT ? 0 : r; /* an app may write and remove what it likes where it runs */
}

/* Who runs from which of these names in FOLDER ("releases", "staging"), in the same order. NULL-terminated. */
static int find_users(const ReleaseStore *store, const char *folder, char *const *names, pid_t *ret_users,
                      Error *error) {
        _cleanup_free_ char *path = realpath(store->path, NULL);
        _cleanup_free_ FileUsersFolder *folders = NULL;
        _cleanup_strv_ char **paths = NULL;
        size_t n = strv_length(names);
        int r = 0;

        if (!path)
                return error_set_errno(error, -errno, "%s", store->path);
        folders = calloc(MAX(n, (size_t) 1), sizeof(*folders));
        if (!folders)
                return error_oom(error);
        for (size_t i = 0; i < n && r >= 0; i++)
                r = strv_appendf(&paths, "%s/%s/%s", path, folder, names[i]);
        if (r < 0)
                return error_oom(error);
        for (size_t i = 0; i < n; i++)
                folders[i].path = paths[i];
        r = file_users_find(folders, n, getppid(), error);
        for (size_t i = 0; i < n && r >= 0; i++)
                ret_users[i] = folders[i].user;
        return r;
}

static int find_live(StoreClean *clean, Error *error) {
        _cleanup_free_ pid_t *users = calloc(MAX(clean->count, (size_t) 1), sizeof(*users));
        _cleanup_strv_ char **names = NULL;
        size_t n = 0;
        int r;

        if (!users)
                return error_oom(error);
        for (size_t i = 0; i < clean->count; i++)
                if (!clean->survey->releases[i].needed && strv_append(&names, clean->entries[i].name) < 0)
                        return error_oom(error);
        r = find_users(clean->store, "releases", names, users, error);
        for (size_t i = 0; i < clean->count && r >= 0; i++)
                if (!clean->survey->releases[i].needed)
                        clean->survey->releases[i].live = users[n++] > 0;
        return r;
}

static int measure_all(StoreClean *clean, Error *error) {
        for (size_t i = 0; i < clean->count; i++) {
                Measure measure = {};
                int r = measure_entry(clean->store->releases_fd, clean->entries[i].name, &measure);

                if (r < 0)
                        return error_set_errno(error, r, "%s: release %s", clean->store->path,
                                               clean->entries[i].name);
                clean->survey->releases[i].bytes = measure.bytes;
        }
        return 0;
}

static int run_survey(void *userdata, Error *error) {
        StoreClean *clean = userdata;
        int r = 0;

        if (!clean->retention.urgent)
                task_be_gentle();
        if (clean->retention.bytes != STORE_KEEP_ALL)
                r = measure_all(clean, error);
        return r < 0 ? r : find_live(clean, error);
}

static int remove_file(int dirfd_, const char *name) {
        return unlinkat(dirfd_, name, 0) < 0 && errno != ENOENT ? -errno : 0;
}

/* Out of releases/ by one rename: from now on it is not there. What lies beside it follows. */
static int withdraw(const ReleaseStore *store, const char *name) {
        char target[STORE_NAME_SIZE + 32], envelope[STORE_ENVELOPE_NAME_SIZE], tree[STORE_TREE_NAME_SIZE];
        int r;

        (void) snprintf(target, sizeof(target), "removed-%016" PRIx64, random_u64());
        if (renameat(store->releases_fd, name, store->staging_fd, target) < 0)
                return -errno;
        if (!store_name_is_valid(name))
                return 0;
        store_tree_name(name, tree);
        r = remove_file(store->releases_fd, tree);
        store_envelope_name(name, envelope);
        return r < 0 ? r : remove_file(store->releases_fd, envelope);
}

static int withdraw_surplus(StoreClean *clean, Error *error) {
        _cleanup_free_ RetentionItem *items = calloc(MAX(clean->count, (size_t) 1), sizeof(*items));
        int r;

        if (!items)
                return error_oom(error);
        for (size_t i = 0; i < clean->count; i++)
                items[i] = (RetentionItem){
                        .in_use = clean->survey->releases[i].live ||
                                  clean->in_use(clean->entries[i].name, clean->userdata),
                        .bytes = clean->survey->releases[i].bytes,
                };
        retention_choose(items, clean->count, clean->retention.releases, clean->retention.bytes);
        for (size_t i = 0; i < clean->count; i++) {
                clean->survey->left_some |= clean->survey->releases[i].live;
                r = items[i].remove ? withdraw(clean->store, clean->entries[i].name) : 0;
                if (r < 0)
                        return error_set_errno(error, r, "%s: cannot remove release %s", clean->store->path,
                                               clean->entries[i].name);
        }
        return 0;
}

/* A folder without an envelope, an envelope or a manifest without a folder, a temporary file: what a crash left. */
static int withdraw_half(int fd, const char *name, void *userdata) {
        static const char *const endings[] = { ".json", ".tree" };
        StoreClean *clean = userdata;
        _cleanup_free_ char *release = strdup(name);
        struct stat st;

        if (!release)
                return -ENOMEM;
        if (string_starts_with(name, FILE_WRITER_PREFIX))
                return 0; /* perhaps a manifest that is just being written: file_writer_sweep() knows */
        for (size_t i = 0; i < ELEMENTSOF(endings); i++)
                if (string_ends_with(name, endings[i]))
                        release[strlen(name) - strlen(endings[i])] = '\0';
        /* Of a release that serves somebody has removed the document or the manifest: that is no reason to end it. */
        if (store_has(clean->store, release) || clean->in_use(release, clean->userdata))
                return 0;
        if (fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
                return errno == ENOENT ? 0 : -errno;
        if (S_ISDIR(st.st_mode))
                return withdraw(clean->store, name);
        return remove_file(fd, name);
}

static int add_doomed(_unused_ int fd, const char *name, void *userdata) {
        StoreClean *clean = userdata;

        return string_equal(name, clean->in_staging) ? 0 : strv_append(&clean->doomed, name);
}

/* A tree may have come here although a process runs from it: one that had drifted and changed places with a new one. */
static int run_remove(void *userdata, Error *error) {
        StoreClean *clean = userdata;
        _cleanup_free_ pid_t *users = calloc(strv_length(clean->doomed) + 1, sizeof(*users));
        int r;

        if (!users)
                return error_oom(error);
        if (!clean->retention.urgent)
                task_be_gentle();
        r = find_users(clean->store, "staging", clean->doomed, users, error);
        for (size_t i = 0; i < strv_length(clean->doomed) && r >= 0; i++) {
                if (users[i] > 0) {
                        clean->survey->left_some = true;
                        continue;
                }
                r = file_remove_tree_slowly_at(clean->store->staging_fd, clean->doomed[i],
                                               clean->retention.urgent ? 0 : NAMES_A_BITE);
                if (r < 0)
                        (void) error_set_errno(error, r, "%s/staging/%s", clean->store->path,
                                               clean->doomed[i]);
        }
        return r;
}

static void on_removed(_unused_ Task *task, int result, const Error *error, void *userdata) {
        StoreClean *clean = userdata;

        clean->task = task_free(clean->task);
        clean->done(clean, result, error, clean->userdata);
}

/* Everything but the slow part. The names are taken before the child starts: what is staged later is not among them. */
static int withdraw_and_remove(StoreClean *clean, Error *error) {
        const ReleaseStore *store = clean->store;
        int r;

        r = withdraw_surplus(clean, error);
        if (r < 0)
                return r;
        if (!clean->in_staging) {
                file_writer_sweep(store->releases_fd);
                r = for_each_name(store->releases_fd, ".", withdraw_half, clean);
                if (r < 0)
                        return error_set_errno(error, r, "%s/releases", store->path);
        }
        if (fsync(store->releases_fd) < 0 || fsync(store->staging_fd) < 0)
                return error_set_errno(error, -errno, "%s", store->path);
        r = for_each_name(store->staging_fd, ".", add_doomed, clean);
        if (r < 0)
                return error_set_errno(error, r, "%s/staging", store->path);
        return task_start(clean->event, "removal of old releases", run_remove, clean, on_removed, clean,
                          &clean->task, error);
}

static void on_surveyed(_unused_ Task *task, int result, const Error *error, void *userdata) {
        StoreClean *clean = userdata;
        Error problem = {};
        int r = result;

        clean->task = task_free(clean->task);
        if (r >= 0) {
                r = withdraw_and_remove(clean, &problem);
                error = &problem;
        }
        if (r < 0)
                clean->done(clean, r, error, clean->userdata);
}

static int prepare(StoreClean *clean, const char *in_staging, Error *error) {
        void *survey;
        int r;

        r = string_set(&clean->in_staging, in_staging);
        if (r < 0)
                return error_oom(error);
        r = store_list(clean->store, &clean->entries, &clean->count, error);
        if (r < 0)
                return r;
        survey = mmap(NULL, survey_size(clean), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        if (survey == MAP_FAILED)
                return error_oom(error);
        clean->survey = survey;
        for (size_t i = 0; i < clean->count; i++)
                clean->survey->releases[i].needed = clean->in_use(clean->entries[i].name, clean->userdata);
        return 0;
}

int store_clean_start(const ReleaseStore *store, sd_event *event, const char *in_staging,
                      const StoreRetention *retention, StoreInUse in_use, StoreCleanDone done, void *userdata,
                      StoreClean **ret, Error *error) {
        _cleanup_(store_clean_freep) StoreClean *clean = malloc(sizeof(*clean));
        int r;

        if (!clean)
                return error_oom(error);
        *clean = (StoreClean){
                .store = store,
                .event = sd_event_ref(event),
                .retention = *retention,
                .in_use = in_use,
                .done = done,
                .userdata = userdata,
        };
        r = prepare(clean, in_staging, error);
        if (r < 0)
                return r;
        if (retention->bytes == STORE_KEEP_ALL && clean->count <= retention->releases)
                r = withdraw_and_remove(clean, error);
        else
                r = task_start(event, "survey of old releases", run_survey, clean, on_surveyed, clean,
                               &clean->task, error);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(clean);
        return 0;
}
