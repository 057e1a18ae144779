#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/base/file.h"
#include "agent/base/random.h"
#include "agent/base/strv.h"
#include "agent/files.h"
#include "agent/files_adopt.h"
#include "agent/files_apply.h"
#include "agent/files_others.h"
#include "agent/files_plan.h"
#include "agent/files_room.h"
#include "agent/files_stage.h"
#include "artifacts/tree_scan.h"

#define FOLDER_MODE 0700
#define FILE_MODE 0600

/* What is there */

static bool is_there(const ReleaseStore *store, const char *path) {
        struct stat st;

        return fstatat(store->app_fd, path, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

bool files_are_unsettled(const ReleaseStore *store) {
        return is_there(store, FILES_JOURNAL) || is_there(store, FILES_PREPARE);
}

bool files_concern(const ReleaseStore *store, const Release *release) {
        return (release && release->files.n > 0) || is_there(store, FILES_INSTALLED) ||
               files_are_unsettled(store);
}

static int fail(const ReleaseStore *store, const char *path, int r, Error *error) {
        return error_set_errno(error, r, "%s/%s", store->path, path);
}

int files_read_installed(const ReleaseStore *store, FilesList *ret, Error *error) {
        _cleanup_buffer_ Buffer text = {};
        int r;

        r = file_read_at(store->app_fd, FILES_INSTALLED, FILES_LIST_SIZE_MAX, &text);
        if (r == -ENOENT)
                return 0;
        if (r < 0)
                return fail(store, FILES_INSTALLED, r, error);
        r = files_list_read((char *) (text.data ?: (uint8_t[1]){}), ret, error);
        if (r < 0)
                error_prefix(error, "%s/" FILES_INSTALLED, store->path);
        return r < 0 ? r : 1;
}

static int read_journal(const ReleaseStore *store, const char *path, FilesJournal *ret, Error *error) {
        _cleanup_buffer_ Buffer text = {};
        int r;

        r = file_read_at(store->app_fd, path, FILES_JOURNAL_SIZE_MAX, &text);
        if (r == -ENOENT)
                return 0;
        if (r < 0)
                return fail(store, path, r, error);
        r = files_journal_read((char *) (text.data ?: (uint8_t[1]){}), ret, error);
        if (r < 0)
                error_prefix(error, "%s/%s", store->path, path);
        return r < 0 ? r : 1;
}

static int remove_journal(const ReleaseStore *store, const char *path, Error *error) {
        int r = file_remove_at(store->app_fd, path);

        return r < 0 ? fail(store, path, r, error) : 0;
}

static int move_journal(const ReleaseStore *store, const char *from, const char *to, Error *error) {
        int r;

        if (renameat(store->app_fd, from, store->app_fd, to) < 0)
                return fail(store, from, -errno, error);
        r = file_sync_parent_at(store->app_fd, to);
        return r < 0 ? fail(store, to, r, error) : 0;
}

/* Ends */

static int write_installed(const ReleaseStore *store, const FilesList *installed, Error *error) {
        _cleanup_buffer_ Buffer text = {};
        int r;

        if (installed->n == 0) {
                r = file_remove_at(store->app_fd, FILES_INSTALLED);
                return r < 0 ? fail(store, FILES_INSTALLED, r, error) : 0;
        }
        r = files_list_write(installed, &text);
        if (r >= 0)
                r = file_replace_at(store->app_fd, FILES_INSTALLED, text.data, text.size, FILE_MODE);
        return r < 0 ? fail(store, FILES_INSTALLED, r, error) : 0;
}

/* How much of what is not needed any more goes. */
typedef enum Rest {
        REST_STAYS,
        REST_MAY_STAY, /* what cannot be removed is in nobody's way, and is tried again (app_clean.c) */
        REST_GOES,
} Rest;

static int finish(const ReleaseStore *store, const FilesJournal *journal, Rest rest, Error *error) {
        int r;

        r = write_installed(store, &journal->installed, error);
        if (r < 0)
                return r;
        r = files_apply_finish(journal, rest == REST_GOES ? error : NULL);
        if (r < 0)
                return rest == REST_GOES ? r : 0;
        return remove_journal(store, FILES_JOURNAL, error);
}

static int drop(const ReleaseStore *store, const FilesJournal *journal, Rest rest, Error *error) {
        int r = files_apply_drop(journal, rest == REST_GOES ? error : NULL);

        if (r < 0)
                return rest == REST_GOES ? r : 0;
        return remove_journal(store, FILES_PREPARE, error);
}

static int undo(const ReleaseStore *store, const FilesJournal *journal, Rest rest, Error *error) {
        int r;

        r = files_apply_undo(journal, error);
        if (r < 0 || rest == REST_STAYS)
                return r;
        r = move_journal(store, FILES_JOURNAL, FILES_PREPARE, error);
        return r < 0 ? r : drop(store, journal, rest, error);
}

/* Which end */

static bool has_units(const FilesJournal *journal) {
        static const char *const folders[] = { "/etc/systemd/system", "/usr/lib/systemd/system",
                                               "/usr/local/lib/systemd/system", "/lib/systemd/system",
                                               "/run/systemd/system" };

        for (size_t i = 0; i < journal->n; i++)
                for (size_t k = 0; k < ELEMENTSOF(folders); k++)
                        if (release_place_is_within(journal->operations[i].path, folders[k]))
                                return true;
        return false;
}

/* Whether the release that the journal brings is the good one: its deployment has been committed. (Where the good release
 * was deployed once more, both ends are the same.) */
static bool is_committed(const FilesJournal *journal, const Record *record) {
        char name[STORE_NAME_SIZE];

        return record->good.version && store_name(record->good.version, record->good.sha256, name) >= 0 &&
               strcmp(name, journal->release) == 0;
}

static bool is_under_way(const FilesJournal *journal, const Record *record) {
        return deployment_is_running(&record->deployment) &&
               string_equal(journal->deployment, record->deployment.id);
}

/* As files_install(). */
static int end_change(const ReleaseStore *store, const Record *record, Rest rest, Error *error) {
        _cleanup_files_journal_ FilesJournal journal = {};
        int r;

        r = read_journal(store, FILES_PREPARE, &journal, error);
        if (r > 0)
                return rest == REST_STAYS ? 0 : drop(store, &journal, rest, error);
        if (r == 0)
                r = read_journal(store, FILES_JOURNAL, &journal, error);
        if (r <= 0)
                return r;
        if (!is_under_way(&journal, record) && is_committed(&journal, record))
                r = rest == REST_STAYS ? 0 : finish(store, &journal, rest, error);
        else
                r = undo(store, &journal, rest, error);
        if (r < 0)
                return r;
        return has_units(&journal) ? FILES_UNITS_CHANGED : 0;
}

int files_take_back(const ReleaseStore *store, const Record *record, bool keep_journal, Error *error) {
        return end_change(store, record, keep_journal ? REST_STAYS : REST_MAY_STAY, error);
}

int files_settle(const ReleaseStore *store, const Record *record, Error *error) {
        int r;

        if (deployment_is_running(&record->deployment))
                return 0;
        r = end_change(store, record, REST_GOES, error);
        return r < 0 ? r : 0;
}

/* Forward */

static int add_found(const TreeFound *found, void *userdata, Error *error) {
        _cleanup_free_ char *target = NULL;
        FileSource source = { .path = found->path,
                              .mode = found->st->st_mode & 07777U,
                              .size = (uint64_t) found->st->st_size };
        int r;

        switch (found->st->st_mode & S_IFMT) {
        case S_IFDIR:
                source.type = ENTRY_FOLDER;
                break;
        case S_IFREG:
                source.type = ENTRY_FILE;
                break;
        case S_IFLNK:
                source.type = ENTRY_LINK;
                r = tree_found_target(found, &target, error);
                if (r < 0)
                        return r;
                source.target = target;
                break;
        default:
                return 0; /* no release has it */
        }
        return file_map_add(userdata, &source, error);
}

/* CodeDeploy gives a script a run bit when it runs it, so what BeforeInstall has run is installed as a program. */
static void let_scripts_run(const Release *release, FileMap *map) {
        const ReleaseHooks *scripts = &release->hooks[LIFECYCLE_BEFORE_INSTALL];

        for (size_t i = 0; i < scripts->n; i++)
                for (size_t k = 0; k < map->n; k++) {
                        FileTarget *target = map->items + k;

                        if (target->type == ENTRY_FILE && !(target->mode & 0111) &&
                            strcmp(target->source, scripts->items[i].location) == 0)
                                target->mode |= 0111;
                }
}

static int make_map(const Release *release, int release_fd, FileMap *ret, Error *error) {
        int r = 0;

        if (file_map_init(ret, &release->files, &release->permissions) < 0)
                return error_oom(error);
        if (release->files.n > 0)
                r = tree_scan(release_fd, add_found, ret, error);
        if (r >= 0)
                r = file_map_finish(ret, error);
        if (r >= 0)
                let_scripts_run(release, ret);
        else
                file_map_deinit(ret);
        return r;
}

static int write_prepare(const ReleaseStore *store, const FilesJournal *journal, Error *error) {
        _cleanup_buffer_ Buffer text = {};
        int r;

        r = files_journal_write(journal, &text);
        if (r >= 0)
                r = file_replace_at(store->app_fd, FILES_PREPARE, text.data, text.size, FILE_MODE);
        return r < 0 ? fail(store, FILES_PREPARE, r, error) : 0;
}

static int carry_out(const ReleaseStore *store, const FilesJournal *journal, int release_fd, Error *error) {
        int r;

        r = write_prepare(store, journal, error);
        if (r >= 0)
                r = files_stage(journal, release_fd, error);
        if (r >= 0)
                r = move_journal(store, FILES_PREPARE, FILES_JOURNAL, error);
        if (r >= 0)
                r = files_apply_switch(journal, error);
        if (r < 0)
                return r;
        return has_units(journal) ? FILES_UNITS_CHANGED : 0;
}

static int begin_journal(const Record *record, const char *release, FilesJournal *journal) {
        snprintf(journal->mark, sizeof(journal->mark), FILES_MARK_PREFIX "%016" PRIx64, random_u64());
        return string_set(&journal->deployment, record->deployment.id) < 0 ||
                               string_set(&journal->release, release) < 0
                       ? -ENOMEM
                       : 0;
}

/* <state>/apps/<app> without symbolic links on the way. */
static int find_state(const ReleaseStore *store, char **ret, Error *error) {
        char *path = realpath(store->path, NULL);

        if (!path)
                return error_set_errno(error, -errno, "%s", store->path);
        for (unsigned i = 0; i < 2; i++)
                *strrchr(path, '/') = '\0';
        *ret = path;
        return 0;
}

typedef struct Facts {
        char name[STORE_NAME_SIZE];
        char *state_dir, *current;
        FilesList installed, others;
        FileMap map;
        int release_fd;
} Facts;

static void facts_deinit(Facts *facts) {
        close_fd(facts->release_fd);
        file_map_deinit(&facts->map);
        files_list_deinit(&facts->others);
        files_list_deinit(&facts->installed);
        free(facts->current);
        free(facts->state_dir);
}

static int read_facts(const FilesInstall *install, Facts *facts, Error *error) {
        const ReleaseStore *store = install->store;
        int r;

        r = find_state(store, &facts->state_dir, error);
        if (r < 0)
                return r;
        if (asprintf(&facts->current, "%s/current", store->path) < 0) {
                facts->current = NULL;
                return error_oom(error);
        }
        facts->release_fd = store_open_release(store, facts->name, error);
        if (facts->release_fd < 0)
                return facts->release_fd;
        r = files_read_installed(store, &facts->installed, error);
        if (r >= 0)
                r = files_others_read(store, &facts->others, error);
        return r < 0 ? r : make_map(install->release, facts->release_fd, &facts->map, error);
}

/* RELEASE_FD as in FilesPlan. */
static int plan_change(const FilesInstall *install, const Facts *facts, int release_fd, FilesJournal *journal,
                       Error *error) {
        const FilesPlan plan = {
                .map = &facts->map,
                .installed = &facts->installed,
                .others = &facts->others,
                .exists = install->release->file_exists,
                .state_dir = facts->state_dir,
                .current = facts->current,
                .release_fd = release_fd,
                .missing_only = install->missing_only,
        };
        int r;

        if (begin_journal(install->record, facts->name, journal) < 0)
                return error_oom(error);
        r = files_plan(&plan, journal, error);
        return r < 0 ? r : files_room_check(journal, &install->reserve, error);
}

static int plan_and_carry_out(const FilesInstall *install, const Facts *facts, Error *error) {
        _cleanup_files_journal_ FilesJournal journal = {};
        int r;

        r = plan_change(install, facts, facts->release_fd, &journal, error);
        if (r < 0)
                return r;
        if (journal.n == 0 &&
            (install->missing_only || files_list_equal(&journal.installed, &facts->installed)))
                return 0;
        r = end_change(install->store, install->record, REST_GOES,
                       error); /* there is one journal at a time */
        return r < 0 ? r : carry_out(install->store, &journal, facts->release_fd, error);
}

int files_foresee(const FilesInstall *install, Error *error) {
        _cleanup_(facts_deinit) Facts facts = { .release_fd = -1 };
        _cleanup_files_journal_ FilesJournal journal = {};
        const ReleaseRef *ref = install->ref;
        Error problem = {};
        int r;

        if (store_name(ref->version, ref->sha256, facts.name) < 0 || read_facts(install, &facts, NULL) < 0)
                return 0;
        r = plan_change(install, &facts, -1, &journal, &problem);
        if (r != -ENOSPC && r != -EROFS)
                return 0;
        if (error)
                *error = problem;
        return r;
}

/* The journal of a change that changes nothing but what counts as installed. */
static int adopt(const ReleaseStore *store, const Record *record, const char *name, const Release *release,
                 char *const *paths, Error *error) {
        _cleanup_files_journal_ FilesJournal journal = {};
        _cleanup_free_ char *state = NULL;
        _cleanup_file_map_ FileMap map = {};
        _cleanup_close_ int release_fd = -1;
        FilesPlaceRules rules = {};
        int r;

        release_fd = store_open_release(store, name, error);
        if (release_fd < 0)
                return release_fd;
        r = make_map(release, release_fd, &map, error);
        if (r >= 0)
                r = find_state(store, &state, error);
        if (r < 0)
                return r;
        if (begin_journal(record, name, &journal) < 0)
                return error_oom(error);
        rules.state_dir = state;
        r = files_adopt_list(paths, &map, &rules, &journal.installed, error);
        if (r >= 0)
                r = write_prepare(store, &journal, error);
        return r < 0 ? r : move_journal(store, FILES_PREPARE, FILES_JOURNAL, error);
}

/* What a deployment before left is settled first. As files_install(). */
static int begin(const ReleaseStore *store, const Record *record, const ReleaseRef *ref, Rest rest,
                 char ret_name[static STORE_NAME_SIZE], Error *error) {
        _cleanup_close_ int folder = -1;
        int r;

        r = store_name(ref->version, ref->sha256, ret_name);
        if (r < 0)
                return error_set(error, r, "'%s' is no version", ref->version);
        folder = file_open_folder_at(store->app_fd, FILES_FOLDER, FOLDER_MODE);
        if (folder < 0)
                return fail(store, FILES_FOLDER, folder, error);
        return end_change(store, record, rest, error);
}

int files_adopt(const ReleaseStore *store, const Record *record, const ReleaseRef *ref,
                const Release *release, char *const *paths, Error *error) {
        char name[STORE_NAME_SIZE];
        int r;

        r = begin(store, record, ref, REST_GOES, name, error);
        return r < 0 ? r : adopt(store, record, name, release, paths, error);
}

int files_install(const FilesInstall *install, Error *error) {
        _cleanup_(facts_deinit) Facts facts = { .release_fd = -1 };
        int settled, r;

        settled = begin(install->store, install->record, install->ref,
                        install->missing_only ? REST_MAY_STAY : REST_GOES, facts.name, error);
        if (settled < 0)
                return settled;
        r = read_facts(install, &facts, error);
        if (r >= 0)
                r = plan_and_carry_out(install, &facts, error);
        return r < 0 ? r : (r | settled);
}
