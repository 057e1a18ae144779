#include "agent/base/file.h"
#include "agent/engine_step.h"
#include "agent/files.h"
#include "agent/placement.h"

/* SWITCH and ROLLBACK_SWITCH are one thing done with different releases: put the release to be in force on the disk, install
 * its files or take back what was installed, take away units that it does not have, have systemd reload. With no release to
 * go back to, everything of the app goes. */

#define UNIT_DIR_MODE 0755

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

static int switch_to(Engine *engine, Placement *placement, const Release *release, Error *error) {
        const Deployment *deployment = engine_deployment(engine);
        const ReleaseRef *ref = engine_subject_ref(engine);
        int r;

        if (!ref->version)
                return placement_clear(placement, error);
        if (step_is_rollback(deployment->step)) {
                step_warn_of_drift(engine, ref);
                r = placement_put_back(placement, engine->context.record, release, error);
                if (r <
                    0) /* it was all in place before: what is in the way is this instance's, and may go away */
                        error_blame(error, FAULT_HOST);
                return r;
        }
        r = placement_write_environment(placement, ref, release, deployment->environment,
                                        deployment->env_sha256, error);
        return r < 0 ? r : placement_put(placement, ref, release, deployment->env_sha256, error);
}

/* What comes after the files: units that go, and systemd that is told. */
static int finish_switch(Engine *engine, Error *error) {
        UnitFiles files = { .reserved = unit_files_reserved, .dirfd = engine->work.unit_dir_fd };
        Placement placement = { .store = engine->context.store, .files = &files, .app = engine->context.app };
        StepWork *work = &engine->work;
        int r;

        r = placement_list_surplus(&placement, engine_subject(engine), &work->names, error);
        if (r < 0)
                return r;
        if (!work->names && !work->reload_needed)
                return STEP_FINISHED;
        if (work->names)
                r = unit_removal_start(engine->context.manager, &files, engine->context.app, work->names,
                                       on_removal, engine, &work->removal, error);
        else
                r = start_reload(engine, error);
        return r < 0 ? r : STEP_STARTED;
}

/* In a process of its own. What a hook has removed of the good release's files (many begin with that) comes back. */
static int change_files(void *userdata, Error *error) {
        const Engine *engine = userdata;
        const EngineContext *context = &engine->context;
        FilesInstall install = step_files(engine);
        int r = 0, q;

        if (step_is_rollback(engine_deployment(engine)->step)) {
                r = files_take_back(context->store, context->record, false, error);
                if (r < 0 || !install.release || install.release->files.n == 0)
                        return r;
                install.missing_only = true;
        }
        q = files_install(&install, error);
        return q < 0 ? q : (q | r);
}

static void on_files(_unused_ Task *task, int result, const Error *error, void *userdata) {
        Engine *engine = userdata;
        Error problem = {};
        int r;

        if (result < 0) {
                engine_step_done(engine, result, error);
                return;
        }
        engine->work.reload_needed |= result == FILES_UNITS_CHANGED;
        r = finish_switch(engine, &problem);
        if (r != STEP_STARTED)
                engine_step_done(engine, r == STEP_FINISHED ? 0 : r, &problem);
}

int step_switch(Engine *engine, Error *error) {
        const EngineContext *context = &engine->context;
        const Release *release = engine_subject(engine);
        UnitFiles files = { .reserved = unit_files_reserved };
        Placement placement = { .store = context->store, .files = &files, .app = context->app };
        StepWork *work = &engine->work;
        int r;

        work->unit_dir_fd = file_open_folder_at(AT_FDCWD, context->config->unit_dir, UNIT_DIR_MODE);
        if (work->unit_dir_fd < 0)
                return error_set_errno(error, work->unit_dir_fd, "cannot open %s", context->config->unit_dir);
        files.dirfd = work->unit_dir_fd;
        r = switch_to(engine, &placement, release, error);
        if (r < 0 && error->fault == FAULT_UNKNOWN) /* what the release can be blamed for says so itself */
                error_blame(error, FAULT_HOST);
        work->reload_needed = placement.units_changed;
        if (r < 0)
                return r;
        if (!files_concern(context->store, release))
                return finish_switch(engine, error);
        r = task_start(context->event, "install files", change_files, engine, on_files, engine, &work->files,
                       error);
        return r < 0 ? r : STEP_STARTED;
}
