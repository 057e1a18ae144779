#include <fcntl.h>
#include <string.h>

#include "agent/base/file.h"
#include "agent/base/log.h"
#include "agent/base/strv.h"
#include "agent/codedeploy_paths.h"
#include "agent/engine_step.h"
#include "agent/environment.h"
#include "agent/record_history.h"
#include "agent/unpack_unit.h"

#define LOGS_MODE 0700
#define TAIL_SHARE_MIN 512U /* bytes of what one of many scripts printed */

/* Whose hooks run, and from which folder: as in CodeDeploy those of BeforeBlockTraffic, AfterBlockTraffic and
 * ApplicationStop are the old release's, the last one's going back the failed one's. */
typedef struct Subject {
        const Release *release;
        const ReleaseRef *ref;
        char *const *environment; /* the group's values for it */
} Subject;

static Subject subject_of(const Engine *engine) {
        const Deployment *deployment = engine_deployment(engine);

        switch (deployment->step) {
        case STEP_BEFORE_BLOCK_TRAFFIC:
        case STEP_AFTER_BLOCK_TRAFFIC:
        case STEP_APPLICATION_STOP:
        case STEP_ROLLBACK_START:
                if (!release_ref_equal(&deployment->from, &engine->context.record->good))
                        return (Subject){ engine->from, &deployment->from, deployment->environment };
                return (Subject){ engine->from, &deployment->from, engine->context.record->good_environment };
        default:
                return (Subject){ engine->to, &deployment->to, deployment->environment };
        }
}

/* The end of what a step's scripts printed; if there are several, each under its name, and none at the cost of another. */
static int keep_output(StepWork *work, const char *location, const char *warning, const char *tail) {
        bool several = work->n_scripts > 1;
        _cleanup_buffer_ Buffer end = {};
        int r;

        if (!*tail && !warning)
                return 0;
        r = buffer_append(&end, tail, strlen(tail), SIZE_MAX);
        if (r >= 0 && several)
                buffer_keep_end(&end, MAX(STEP_TAIL_MAX / (work->n_scripts + 1), TAIL_SHARE_MIN));
        if (r >= 0 && several)
                r = buffer_printf(&work->tail, "%s:\n", location);
        if (r >= 0 && warning)
                r = buffer_printf(&work->tail, "[%s]\n", warning);
        if (r >= 0)
                r = buffer_append(&work->tail, end.data, end.size, SIZE_MAX);
        if (r >= 0 && several && *tail && !string_ends_with(tail, "\n"))
                r = buffer_append(&work->tail, "\n", 1, SIZE_MAX);
        if (r >= 0)
                buffer_keep_end(&work->tail, STEP_TAIL_MAX);
        return r;
}

static int keep_result(_unused_ HookList *list, const Hook *hook, unsigned index, _unused_ int result,
                       _unused_ const Error *error, void *userdata) {
        Engine *engine = userdata;
        const char *warning = hook_warning(hook);

        if (warning)
                log_warning("%s: %s", engine->context.app, warning);
        return keep_output(&engine->work, engine->work.scripts[index].location, warning,
                           hook_output_tail(hook) ?: "");
}

/* The last one's success is the step's, and is recorded with that. */
static int record_result(HookList *list, const Hook *hook, unsigned index, int result, const Error *error,
                         void *userdata) {
        Engine *engine = userdata;
        Error problem = {};
        int r;

        r = keep_result(list, hook, index, result, error, userdata);
        if (r < 0 || result != 0 || index + 1 == engine->work.n_scripts)
                return r;
        return engine_hook_done(engine, &problem);
}

static bool is_stop(Step step) {
        return step == STEP_APPLICATION_STOP || step == STEP_ROLLBACK_STOP;
}

static void on_leftovers(_unused_ HookLeftovers *leftovers, int result, unsigned n_stopped,
                         const Error *error, void *userdata) {
        Engine *engine = userdata;
        StepWork *work = &engine->work;

        if (n_stopped > 0)
                log_info("%s: ended %u units that earlier deployments left behind", engine->context.app,
                         n_stopped);
        if (work->hooks_result != 0)
                engine_step_done(engine, work->hooks_result, &work->hooks_error);
        else
                engine_step_done(engine, result, error);
}

/* A process that a hook left behind on purpose lives until the next ApplicationStop: it ends after those hooks, which
 * may want to talk to it, and whether or not there are any. An unpacker whose musterd died has failed and stays so:
 * nobody else makes systemd forget it. */
static int stop_leftovers(Engine *engine, Error *error) {
        const Deployment *deployment = engine_deployment(engine);
        const char *keep = step_is_rollback(deployment->step) ? NULL : deployment->id;
        _cleanup_free_ char *unpackers = NULL;

        if (unpack_unit_pattern(engine->context.app, &unpackers) < 0)
                return error_oom(error);
        return hook_leftovers_stop_start(engine->context.manager, engine->context.app, keep, unpackers,
                                         on_leftovers, engine, &engine->work.leftovers, error);
}

static void on_hooks(_unused_ HookList *list, int result, _unused_ unsigned index, const Error *error,
                     void *userdata) {
        Engine *engine = userdata;
        Error problem = {};
        int r;

        if (!is_stop(engine_deployment(engine)->step)) {
                engine_step_done(engine, result, error);
                return;
        }
        engine->work.hooks_result = result;
        if (error)
                engine->work.hooks_error = *error;
        r = stop_leftovers(engine, &problem);
        if (r < 0)
                engine_step_done(engine, r, &problem);
}

static int open_output(Engine *engine) {
        _cleanup_free_ char *path = NULL;

        if (asprintf(&path, RECORD_LOGS_FOLDER "/%s", engine_deployment(engine)->id) < 0) {
                path = NULL;
                return -ENOMEM;
        }
        return file_open_folder_at(engine->context.store->app_fd, path, LOGS_MODE);
}

/* The hooks' scripts, with arguments that end in NULL; the texts stay the release's. */
static int take_scripts(Engine *engine, const ReleaseHooks *hooks, Error *error) {
        StepWork *work = &engine->work;
        size_t n = 0;
        char **next;

        for (size_t i = 0; i < hooks->n; i++)
                n += hooks->items[i].args.n + 1;
        work->scripts = calloc(hooks->n, sizeof(HookScript));
        next = work->arguments = calloc(n, sizeof(char *));
        if (!work->scripts || !work->arguments)
                return error_oom(error);
        for (size_t i = 0; i < hooks->n; i++) {
                const ReleaseHook *hook = &hooks->items[i];

                work->scripts[i] = (HookScript){
                        .location = hook->location,
                        .args = next,
                        .runas = hook->runas,
                        .timeout_usec = hook->timeout,
                };
                for (size_t j = 0; j < hook->args.n; j++)
                        *next++ = hook->args.items[j];
                next++;
        }
        return 0;
}

static int open_folders(Engine *engine, const ReleaseRef *ref, char **ret_folder, Error *error) {
        const ReleaseStore *store = engine->context.store;
        StepWork *work = &engine->work;
        char name[STORE_NAME_SIZE];

        if (store_name(ref->version, ref->sha256, name) < 0)
                return error_set(error, -EINVAL, "'%s' is no version", ref->version);
        work->release_fd = store_open_release(store, name, error);
        if (work->release_fd < 0) {
                error_blame(error, FAULT_HOST); /* it was whole when it came into the store */
                return work->release_fd;
        }
        work->output_fd = open_output(engine);
        if (work->output_fd < 0)
                return error_set_fault(error, work->output_fd, FAULT_HOST,
                                       "cannot open the folder for the output of hooks: %s",
                                       strerror(-work->output_fd));
        return asprintf(ret_folder, "%s/releases/%s", store->path, name) < 0 ? error_oom(error) : 0;
}

/* What names the units of hooks: the events of the way back are those of the way forward, and each try of it is another. */
static int name_units(const Deployment *deployment, char **ret) {
        int r;

        r = step_is_rollback(deployment->step)
                    ? asprintf(ret, "%s.back%u", deployment->id, deployment->rollbacks + 1)
                    : asprintf(ret, "%s", deployment->id);
        if (r < 0)
                *ret = NULL;
        return r < 0 ? -ENOMEM : 0;
}

/* Scripts that look for their bundle where CodeDeploy unpacks it find it there. */
static void put_codedeploy_path(const Engine *engine, const Release *release, const char *folder) {
        const EngineContext *context = &engine->context;
        Error error = {};

        if (codedeploy_paths_are_used(engine->work.release_fd, release) &&
            codedeploy_paths_put(CODEDEPLOY_ROOT_DIR, context->group, engine_deployment(engine)->id, folder,
                                 &error) < 0)
                log_warning("%s: %s", context->app, error.message);
}

static int start_hooks(Engine *engine, Subject subject, LifecycleEvent event, Error *error) {
        const ReleaseHooks *hooks = &subject.release->hooks[event];
        const EngineContext *context = &engine->context;
        const Deployment *deployment = engine_deployment(engine);
        _cleanup_free_ char *folder = NULL, *unit_part = NULL;
        StepWork *work = &engine->work;
        HookContext hook_context;
        int r;

        r = open_folders(engine, subject.ref, &folder, error);
        if (r < 0) {
                folder = NULL;
                return r;
        }
        put_codedeploy_path(engine, subject.release, folder);
        r = take_scripts(engine, hooks, error);
        if (r < 0)
                return r;
        if (environment_of_hooks(context, subject.ref, subject.release, subject.environment,
                                 &work->environment) < 0)
                return error_oom(error);
        if (name_units(deployment, &unit_part) < 0)
                return error_oom(error);
        hook_context = (HookContext){
                .app = context->app,
                .deployment = unit_part,
                .event = event,
                .attempt = deployment->attempt,
                .release_folder = folder,
                .release_dirfd = work->release_fd,
                .environment = work->environment,
                .output_dirfd = work->output_fd,
        };
        work->n_scripts = (unsigned) hooks->n;
        for (size_t i = 0; i < hooks->n; i++)
                work->allowance = MAX(work->allowance, hooks->items[i].timeout);
        return hook_list_start(context->manager, &hook_context, work->scripts, work->n_scripts,
                               deployment->hooks_done, record_result, on_hooks, engine, &work->hooks, error);
}

/* What was drained has had its ApplicationStop. */
static bool is_stopped(const Engine *engine) {
        const Deployment *deployment = engine_deployment(engine);

        return deployment->step == STEP_APPLICATION_STOP && deployment->kind == KIND_DEPLOY &&
               engine->context.record->good_is_stopped;
}

int step_hooks(Engine *engine, Error *error) {
        Step step = engine_deployment(engine)->step;
        Subject subject = subject_of(engine);
        LifecycleEvent event;
        int r;

        r = lifecycle_event_from_string(step_lifecycle_event(step), &event);
        if (r < 0)
                return error_set(error, r, "%s is no step with hooks", step_to_string(step));
        if (is_stopped(engine))
                r = stop_leftovers(engine, error);
        else if (subject.release && subject.release->hooks[event].n > 0)
                r = start_hooks(engine, subject, event, error);
        else if (is_stop(step))
                r = stop_leftovers(engine, error);
        else
                return STEP_FINISHED;
        return r < 0 ? r : STEP_STARTED;
}
