#include <dirent.h>
#include <fcntl.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>

#include "agent/base/clock.h"
#include "agent/base/file.h"
#include "agent/base/log.h"
#include "agent/base/parse.h"
#include "agent/base/strv.h"
#include "agent/engine_step.h"
#include "agent/files.h"
#include "agent/placement.h"
#include "agent/record_open.h"
#include "agent/recover.h"
#include "agent/spare.h"
#include "agent/state_lock.h"
#include "units/unit_links.h"

#define APPS_FOLDER "apps"

typedef struct RecoverContext {
        const Config *config;
        UnitFiles files;
        Machine machine;
        const char *boot_id;
        bool reload; /* systemd must read unit files again */
} RecoverContext;

/* A way back that has failed may have left the failed release's files in place, too; for one that was cut there was none. */
static bool is_unfinished(const Record *record, const char *boot_id) {
        const Deployment *deployment = &record->deployment;
        bool running = deployment_is_running(deployment) && deployment_has_changed_anything(deployment) &&
                       deployment->kind == KIND_DEPLOY;
        bool failed = deployment->id && deployment->outcome == OUTCOME_ROLLBACK_FAILED;

        return (running || failed || deployment_left_a_mixture(deployment)) &&
               !string_equal(deployment->boot_id, boot_id);
}

/* A unit that only the release has that was never found good would start as well. */
static int remove_surplus(Placement *placement, const Release *release, Error *error) {
        _cleanup_strv_ char **names = NULL;
        int r, result = 0;

        r = placement_list_surplus(placement, release, &names, error);
        if (r < 0)
                return r;
        STRV_FOREACH(name, names) {
                bool changed = false;

                r = unit_links_remove(placement->files->dirfd, *name, error);
                if (r >= 0)
                        r = unit_file_remove(placement->files, placement->app, *name, &changed, error);
                placement->units_changed |= changed;
                if (r < 0)
                        result = r;
        }
        return result;
}

static int take_down(Placement *placement, Error *error) {
        int r = placement_clear(placement, error);

        return r < 0 ? r : remove_surplus(placement, NULL, error);
}

static int take_back(Placement *placement, const Record *record, Error *error) {
        _cleanup_release_ Release *release = NULL;
        int r;

        if (!record->good.version)
                return take_down(placement, error);
        r = engine_load_release(placement->store, &record->good, &release, error);
        if (r >= 0)
                r = placement_put_back(placement, record, release, error);
        return r < 0 ? r : remove_surplus(placement, release, error);
}

/* Of an image of another instance nothing starts before musterd has decided. */
static int put_right(Placement *placement, const Record *record, bool foreign, Error *error) {
        return foreign ? take_down(placement, error) : take_back(placement, record, error);
}

/* musterd removes what had arrived: not every file system need be there yet. */
static int take_files_back(RecoverContext *context, const ReleaseStore *store, const Record *record,
                           Error *error) {
        int r;

        if (!files_are_unsettled(store))
                return 0;
        r = files_take_back(store, record, true, error);
        context->reload |= r == FILES_UNITS_CHANGED;
        return r;
}

static void say(const char *app, const Record *record, bool foreign) {
        const LogFields fields = { .app = app };

        if (foreign)
                log_message(LOG_NOTICE, NULL, &fields,
                            "this instance was made from an image of %s; what that ran does not start here",
                            record->instance);
        else
                log_message(LOG_NOTICE, NULL, &fields,
                            "the instance went down in the middle of deployment %s; %s%s is in place again",
                            record->deployment.id, record->good.version ? "release " : "no release",
                            record->good.version ? record->good.version : "");
}

static int recover_app(RecoverContext *context, const char *app, Error *error) {
        const RecordOwner owner = { .app = app,
                                    .configured = context->config->instance_id,
                                    .machine = &context->machine };
        Placement placement = { .files = &context->files, .app = app };
        _cleanup_(store_freep) ReleaseStore *store = NULL;
        _cleanup_(record_deinit) Record record = {};
        char note[RECORD_NOTE_MAX];
        bool foreign;
        int r;

        r = store_open(context->config->state_dir, app, &store, error);
        if (r >= 0)
                r = record_read(store, clock_realtime(&clock_system), &record, note, error);
        if (r < 0)
                return r;
        if (note[0])
                log_warning("%s: %s", app, note);
        foreign = record_is_foreign(&record, &owner);
        if (!foreign && !is_unfinished(&record, context->boot_id))
                return 0;
        placement.store = store;
        r = put_right(&placement, &record, foreign, error);
        if (r < 0 && spare_helps(store->app_fd, r))
                r = put_right(&placement, &record, foreign, error);
        context->reload |= placement.units_changed;
        if (r >= 0)
                r = take_files_back(context, store, &record, error);
        if (r >= 0)
                say(app, &record, foreign);
        return r;
}

static int recover_apps(RecoverContext *context, DIR *dir, Error *error) {
        const struct dirent *entry;
        int result = 0;

        while ((entry = readdir(dir))) {
                Error problem = {};
                int r;

                if (!name_is_valid(entry->d_name))
                        continue;
                r = recover_app(context, entry->d_name, &problem);
                if (r >= 0)
                        continue;
                error_prefix(&problem, "app %s", entry->d_name);
                log_error("%s", problem.message);
                if (result == 0) {
                        result = r;
                        *error = problem;
                }
        }
        return result;
}

static int recover_locked(RecoverContext *context, DIR *dir, Error *error) {
        _cleanup_close_ int unit_dir = -1;
        int r;

        unit_dir = file_open_folder_at(AT_FDCWD, context->config->unit_dir, 0755);
        if (unit_dir < 0)
                return error_set_errno(error, unit_dir, "cannot open %s", context->config->unit_dir);
        if (machine_read("", &context->machine) < 0)
                return error_oom(error);
        context->files.dirfd = unit_dir;
        r = recover_apps(context, dir, error);
        machine_deinit(&context->machine);
        return r;
}

int recover(const Config *config, const char *boot_id, bool *ret_reload, Error *error) {
        RecoverContext context = { .config = config,
                                   .files = { .reserved = unit_files_reserved },
                                   .boot_id = boot_id };
        _cleanup_free_ char *path = NULL;
        _cleanup_closedir_ DIR *dir = NULL;
        _cleanup_close_ int state_fd = -1, lock = -1;
        int r;

        if (asprintf(&path, "%s/" APPS_FOLDER, config->state_dir) < 0) {
                path = NULL;
                return error_oom(error);
        }
        dir = opendir(path);
        if (!dir)
                return errno == ENOENT ? 0 : error_set_errno(error, -errno, "cannot read %s", path);
        state_fd = file_open_at(AT_FDCWD, config->state_dir, O_DIRECTORY | O_RDONLY, 0);
        if (state_fd < 0)
                return error_set_errno(error, state_fd, "cannot open %s", config->state_dir);
        lock = state_lock_take(state_fd, config->state_dir, error);
        if (lock < 0)
                return lock;
        r = recover_locked(&context, dir, error);
        *ret_reload = context.reload;
        return r;
}

int recover_reload(Error *error) {
        char *const argv[] = { (char *) "systemctl", (char *) "daemon-reload", NULL };
        int status;
        pid_t pid;

        errno = posix_spawnp(&pid, argv[0], NULL, NULL, argv, environ);
        if (errno != 0 || waitpid(pid, &status, 0) < 0)
                return error_set_errno(error, -errno, "cannot run systemctl daemon-reload");
        if (status != 0)
                return error_set(error, -EIO, "systemctl daemon-reload failed");
        return 0;
}
