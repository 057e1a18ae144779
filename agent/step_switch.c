#include <fcntl.h>
#include <string.h>

#include "agent/base/file.h"
#include "agent/base/log.h"
#include "agent/base/strv.h"
#include "agent/engine_step.h"
#include "agent/environment.h"
#include "units/unit_file.h"

/* SWITCH and ROLLBACK_SWITCH are one thing done with different releases: the environment, `current`, the unit files, and
 * away with units that the release to be does not have. With no release to go back to, everything of the app goes.
 *
 * The environment of units lies in environments/<release>-<first 12 of the group's values' digest>, and `environment` is
 * a symbolic link to the one in force: so going back is repointing, whatever the group's values were then. */

#define ENVIRONMENTS_FOLDER "environments"
#define ENVIRONMENT_LINK "environment"
#define ENVIRONMENT_MODE 0600
#define ENVIRONMENTS_FOLDER_MODE 0700
#define ENVIRONMENT_SIZE_MAX (16U * 1024U * 1024U)
#define ENVIRONMENT_DIGITS 12

static int environment_path(const ReleaseRef *ref, const char *env_sha256, char **ret) {
        char name[STORE_NAME_SIZE];
        int r;

        r = store_name(ref->version, ref->sha256, name);
        if (r < 0)
                return r;
        r = asprintf(ret, ENVIRONMENTS_FOLDER "/%s-%.*s", name, ENVIRONMENT_DIGITS, env_sha256);
        return r < 0 ? -ENOMEM : 0;
}

static int read_environment(int app_fd, Buffer *ret) {
        _cleanup_free_ char *target = NULL;
        int r;

        r = file_read_link_at(app_fd, ENVIRONMENT_LINK, &target);
        if (r >= 0)
                r = file_read_at(app_fd, target, ENVIRONMENT_SIZE_MAX, ret);
        else
                target = NULL;
        return r == -ENOENT ? 0 : r;
}

static int write_environment(const Engine *engine, const char *path) {
        int app_fd = engine->context.store->app_fd;
        _cleanup_strv_ char **environment = NULL;
        _cleanup_free_ char *text = NULL;
        _cleanup_close_ int fd = -1;
        int r;

        fd = file_open_folder_at(app_fd, ENVIRONMENTS_FOLDER, ENVIRONMENTS_FOLDER_MODE);
        if (fd < 0)
                return fd;
        r = environment_of_app(engine->to, engine_deployment(engine)->environment, &environment);
        if (r < 0)
                return r;
        r = environment_to_file(environment, &text);
        if (r < 0) {
                text = NULL;
                return r;
        }
        return file_replace_at(app_fd, path, text, strlen(text), ENVIRONMENT_MODE);
}

/* Puts the environment of the release to be in force, and notes whether that is a change: a process that is only
 * reloaded would not see it. */
static int switch_environment(Engine *engine, Error *error) {
        const EngineContext *context = &engine->context;
        bool back = step_is_rollback(engine_deployment(engine)->step);
        _cleanup_buffer_ Buffer before = {}, after = {};
        int app_fd = context->store->app_fd, r;
        _cleanup_free_ char *path = NULL;

        r = environment_path(engine_subject_ref(engine),
                             back ? context->record->good_env_sha256 : engine_deployment(engine)->env_sha256,
                             &path);
        if (r < 0) {
                path = NULL;
                return error_oom(error);
        }
        r = read_environment(app_fd, &before);
        if (r >= 0 && !back)
                r = write_environment(engine, path);
        if (r >= 0)
                r = file_replace_symlink_at(app_fd, ENVIRONMENT_LINK, path);
        if (r >= 0)
                r = read_environment(app_fd, &after);
        if (r < 0)
                return error_set_errno(error, r, "cannot put the environment in force");
        engine->env_differs |= strcmp(buffer_string(&before), buffer_string(&after)) != 0;
        return 0;
}

static int install_unit(Engine *engine, const UnitFiles *files, int release_fd, const ReleaseUnit *unit,
                        bool *ret_changed, Error *error) {
        const EngineContext *context = &engine->context;
        _cleanup_free_ char *environment = NULL;
        _cleanup_close_ int source = -1;
        bool changed = false;
        int r;

        source = file_open_at(release_fd, unit->file, O_RDONLY | O_NOCTTY, 0);
        if (source < 0) {
                error_set_errno(error, source, "cannot open the unit file %s of the release", unit->file);
                error_blame(error, FAULT_RELEASE);
                return source;
        }
        r = unit_file_install(files, context->app, unit->name, source, &changed, error);
        if (r < 0)
                return r;
        *ret_changed |= changed;
        if (!string_ends_with(unit->name, ".service"))
                return 0;
        if (asprintf(&environment, "%s/" ENVIRONMENT_LINK, context->store->path) < 0) {
                environment = NULL;
                return error_oom(error);
        }
        r = unit_file_set_environment(files, context->app, unit->name, environment, &changed, error);
        if (r >= 0)
                *ret_changed |= changed;
        return r;
}

static int install_units(Engine *engine, const UnitFiles *files, const Release *release, const char *name,
                         bool *ret_changed, Error *error) {
        _cleanup_close_ int release_fd = -1;
        int r;

        release_fd = store_open_release(engine->context.store, name, error);
        if (release_fd < 0)
                return release_fd;
        for (size_t i = 0; i < release->units.n; i++) {
                if (!release->units.items[i].file)
                        continue;
                r = install_unit(engine, files, release_fd, &release->units.items[i], ret_changed, error);
                if (r < 0)
                        return r;
        }
        return 0;
}

static bool release_has_unit(const Release *release, const char *name) {
        for (size_t i = 0; release && i < release->units.n; i++)
                if (release->units.items[i].file && strcmp(release->units.items[i].name, name) == 0)
                        return true;
        return false;
}

/* The units that the app owns on this machine and the release to be does not have. */
static int list_surplus(Engine *engine, const UnitFiles *files, const Release *release, char ***ret,
                        Error *error) {
        _cleanup_strv_ char **owned = NULL, **surplus = NULL;
        int r;

        r = unit_files_list(files, engine->context.app, &owned, error);
        if (r < 0)
                return r;
        STRV_FOREACH(name, owned)
                if (!release_has_unit(release, *name) && strv_append(&surplus, *name) < 0)
                        return error_oom(error);
        *ret = TAKE_PTR(surplus);
        return 0;
}

static void on_reload(_unused_ ManagerCall *call, int result, _unused_ sd_bus_message *reply,
                      const Error *error, void *userdata) {
        engine_step_done(userdata, result, error);
}

static int start_reload(Engine *engine, Error *error) {
        return manager_reload_start(engine->context.manager, on_reload, engine, &engine->work.reload, error);
}

static void on_removal(_unused_ UnitRemoval *removal, int result, const Error *error, void *userdata) {
        Engine *engine = userdata;
        Error problem = {};
        int r;

        if (result < 0 || !engine->work.reload_needed) {
                engine_step_done(engine, result, error);
                return;
        }
        r = start_reload(engine, &problem);
        if (r < 0)
                engine_step_done(engine, r, &problem);
}

static int switch_to(Engine *engine, const UnitFiles *files, const Release *release, bool *ret_changed,
                     Error *error) {
        const EngineContext *context = &engine->context;
        const ReleaseRef *ref = engine_subject_ref(engine);
        char name[STORE_NAME_SIZE];
        int r;

        if (!ref->version) {
                (void) file_remove_at(context->store->app_fd, ENVIRONMENT_LINK);
                return store_remove_current(context->store, error);
        }
        if (!release || store_name(ref->version, ref->sha256, name) < 0)
                return error_set(error, -ENOENT, "release %s is not on this instance any more", ref->version);
        r = switch_environment(engine, error);
        if (r >= 0)
                r = store_switch_current(context->store, name, error);
        return r < 0 ? r : install_units(engine, files, release, name, ret_changed, error);
}

int step_switch(Engine *engine, Error *error) {
        const Release *release = engine_subject(engine);
        UnitFiles files = { .reserved = unit_files_reserved };
        StepWork *work = &engine->work;
        int r;

        work->unit_dir_fd = file_open_folder_at(AT_FDCWD, engine->context.config->unit_dir, 0755);
        if (work->unit_dir_fd < 0)
                return error_set_errno(error, work->unit_dir_fd, "cannot open %s",
                                       engine->context.config->unit_dir);
        files.dirfd = work->unit_dir_fd;
        r = switch_to(engine, &files, release, &work->reload_needed, error);
        if (r < 0)
                return r;
        r = list_surplus(engine, &files, release, &work->names, error);
        if (r < 0)
                return r;
        if (work->names)
                r = unit_removal_start(engine->context.manager, &files, engine->context.app, work->names,
                                       on_removal, engine, &work->removal, error);
        else if (work->reload_needed)
                r = start_reload(engine, error);
        else
                return STEP_FINISHED;
        return r < 0 ? r : STEP_STARTED;
}
