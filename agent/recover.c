#include <dirent.h>
#include <fcntl.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>

#include "agent/base/file.h"
#include "agent/base/log.h"
#include "agent/base/parse.h"
#include "agent/base/strv.h"
#include "agent/engine_step.h"
#include "agent/placement.h"
#include "agent/recover.h"
#include "agent/state_lock.h"
#include "units/unit_links.h"

#define APPS_FOLDER "apps"

static bool is_unfinished(const Record *record, const char *boot_id) {
        const Deployment *deployment = &record->deployment;

        return deployment_is_running(deployment) && deployment_has_changed_anything(deployment) &&
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

static int take_back(Placement *placement, const Record *record, Error *error) {
        _cleanup_release_ Release *release = NULL;
        int r;

        if (!record->good.version) {
                r = placement_clear(placement, error);
                return r < 0 ? r : remove_surplus(placement, NULL, error);
        }
        r = engine_load_release(placement->store, &record->good, &release, error);
        if (r >= 0)
                r = placement_put(placement, &record->good, release, record->good_env_sha256, error);
        return r < 0 ? r : remove_surplus(placement, release, error);
}

static int recover_app(const Config *config, const UnitFiles *files, const char *app, const char *boot_id,
                       bool *ret_reload, Error *error) {
        _cleanup_(store_freep) ReleaseStore *store = NULL;
        _cleanup_(record_deinit) Record record = {};
        Placement placement = { .files = files, .app = app };
        int r;

        r = store_open(config->state_dir, app, &store, error);
        if (r >= 0)
                r = record_load(store->app_fd, &record, error);
        if (r < 0 || !is_unfinished(&record, boot_id))
                return r;
        placement.store = store;
        r = take_back(&placement, &record, error);
        *ret_reload |= placement.units_changed;
        if (r >= 0)
                log_message(LOG_NOTICE, NULL, &(const LogFields){ .app = app },
                            "the instance went down in the middle of deployment %s; %s%s is in place again",
                            record.deployment.id, record.good.version ? "release " : "no release",
                            record.good.version ? record.good.version : "");
        return r;
}

static int recover_apps(const Config *config, const UnitFiles *files, DIR *dir, const char *boot_id,
                        bool *ret_reload, Error *error) {
        const struct dirent *entry;
        int result = 0;

        while ((entry = readdir(dir))) {
                Error problem = {};
                int r;

                if (!name_is_valid(entry->d_name))
                        continue;
                r = recover_app(config, files, entry->d_name, boot_id, ret_reload, &problem);
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

int recover(const Config *config, const char *boot_id, bool *ret_reload, Error *error) {
        _cleanup_free_ char *path = NULL;
        _cleanup_closedir_ DIR *dir = NULL;
        _cleanup_close_ int state_fd = -1, lock = -1, unit_dir = -1;
        UnitFiles files = { .reserved = unit_files_reserved };

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
        unit_dir = file_open_folder_at(AT_FDCWD, config->unit_dir, 0755);
        if (unit_dir < 0)
                return error_set_errno(error, unit_dir, "cannot open %s", config->unit_dir);
        files.dirfd = unit_dir;
        return recover_apps(config, &files, dir, boot_id, ret_reload, error);
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
