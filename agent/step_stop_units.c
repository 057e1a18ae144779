#include <fcntl.h>

#include "agent/base/file.h"
#include "agent/engine_step.h"
#include "agent/placement.h"

/* STOP_UNITS: every unit that the app owns on this machine, whichever release brought it. They are not started at boot
 * either, until the app is deployed again. */

#define UNIT_DIR_MODE 0755

static void on_stopped(_unused_ UnitRemoval *removal, int result, const Error *error, void *userdata) {
        engine_step_done(userdata, result, error);
}

int step_stop_units(Engine *engine, Error *error) {
        const EngineContext *context = &engine->context;
        UnitFiles files = { .reserved = unit_files_reserved };
        const Placement placement = { .store = context->store, .files = &files, .app = context->app };
        StepWork *work = &engine->work;
        int r;

        work->unit_dir_fd = file_open_folder_at(AT_FDCWD, context->config->unit_dir, UNIT_DIR_MODE);
        if (work->unit_dir_fd < 0)
                return error_set_errno(error, work->unit_dir_fd, "cannot open %s", context->config->unit_dir);
        files.dirfd = work->unit_dir_fd;
        r = placement_list_surplus(&placement, NULL, &work->names, error);
        if (r < 0)
                return r;
        if (!work->names)
                return STEP_FINISHED;
        r = unit_removal_stop_start(context->manager, &files, context->app, work->names, on_stopped, engine,
                                    &work->removal, error);
        return r < 0 ? r : STEP_STARTED;
}
