#include <fcntl.h>
#include <string.h>

#include "agent/base/log.h"
#include "agent/base/parse.h"
#include "agent/base/random.h"
#include "agent/base/strv.h"
#include "agent/deployment_id.h"
#include "agent/engine_step.h"
#include "agent/messages.h"
#include "agent/record_history.h"

static const StepFunction functions[STEP_COUNT] = {
        [STEP_VERIFY] = step_verify,
        [STEP_FETCH] = step_fetch,
        [STEP_APPLICATION_STOP] = step_hooks,
        [STEP_BEFORE_INSTALL] = step_hooks,
        [STEP_SWITCH] = step_switch,
        [STEP_AFTER_INSTALL] = step_hooks,
        [STEP_UNITS] = step_units,
        [STEP_APPLICATION_START] = step_hooks,
        [STEP_VALIDATE_SERVICE] = step_hooks,
        [STEP_HEALTH] = step_health,
        [STEP_COMMIT] = step_commit,
        [STEP_ROLLBACK_STOP] = step_hooks,
        [STEP_ROLLBACK_SWITCH] = step_switch,
        [STEP_ROLLBACK_UNITS] = step_units,
        [STEP_ROLLBACK_START] = step_hooks,
        [STEP_ROLLBACK_HEALTH] = step_health,
};

static void log_step(const Engine *engine, int priority, const char *message_id, const char *text) {
        const Deployment *deployment = engine_deployment(engine);
        const LogFields fields = {
                .app = engine->context.app,
                .version = deployment->to.version,
                .deployment = deployment->id,
                .event = step_to_string(deployment->step),
                .instance = engine->context.instance,
        };

        log_message(priority, message_id, &fields, "%s", text);
}

const Release *engine_subject(const Engine *engine) {
        return step_is_rollback(engine_deployment(engine)->step) ? engine->from : engine->to;
}

const ReleaseRef *engine_subject_ref(const Engine *engine) {
        const Deployment *deployment = engine_deployment(engine);

        return step_is_rollback(deployment->step) ? &deployment->from : &deployment->to;
}

static void clear_work(StepWork *work) {
        depot_op_free(work->depot);
        installed_check_free(work->check);
        receive_free(work->receive);
        hook_leftovers_free(work->leftovers);
        hook_list_free(work->hooks);
        unit_removal_free(work->removal);
        manager_call_free(work->reload);
        unit_job_free(work->job);
        health_free(work->health);
        unit_enable_free(work->enable);
        strv_free(work->names);
        strv_free(work->environment);
        free(work->scripts);
        free(work->arguments);
        close_fd(work->unit_dir_fd);
        close_fd(work->output_fd);
        close_fd(work->release_fd);
        buffer_deinit(&work->tail);
        *work = (StepWork){ .unit_dir_fd = -1, .output_fd = -1, .release_fd = -1 };
}

/* A record that cannot be written is a fault of the host: the deployment goes on in memory and is written with the next
 * change, but nothing new is begun that the record does not know of (run_step). */
static int apply(Engine *engine, DeploymentEvent *event, Error *error) {
        EngineContext *context = &engine->context;
        bool committing =
                event->kind == DEPLOYMENT_STEP_SUCCEEDED && engine_deployment(engine)->step == STEP_COMMIT;
        int r;

        event->at = clock_realtime(context->clock);
        event->boot_id = context->boot_id;
        r = deployment_apply(&context->record->deployment, event);
        if (r >= 0 && committing)
                r = record_commit(context->record, event->at);
        if (r >= 0 && !deployment_is_running(engine_deployment(engine)) &&
            engine_deployment(engine)->outcome != OUTCOME_SUCCEEDED)
                r = record_add_failure(context->record, engine_deployment(engine));
        if (r < 0)
                return error_set_errno(error, r, "cannot change the deploy record");
        return record_save(context->store->app_fd, context->record, error);
}

static const char *outcome_message_id(Outcome outcome) {
        switch (outcome) {
        case OUTCOME_SUCCEEDED:
                return MESSAGE_DEPLOYMENT_SUCCEEDED;
        case OUTCOME_ROLLED_BACK:
                return MESSAGE_DEPLOYMENT_ROLLED_BACK;
        case OUTCOME_ROLLBACK_FAILED:
                return MESSAGE_ROLLBACK_FAILED;
        default:
                return MESSAGE_DEPLOYMENT_FAILED;
        }
}

static void log_outcome(const Engine *engine) {
        const Deployment *deployment = engine_deployment(engine);
        bool good = deployment->outcome == OUTCOME_SUCCEEDED;
        _cleanup_free_ char *text = NULL;
        char took[DURATION_TEXT_MAX];
        int n;

        format_duration((deployment->finished - deployment->started) / USEC_PER_MSEC * USEC_PER_MSEC, took);
        if (good)
                n = asprintf(&text, "release %s is in service after %s", deployment->to.version, took);
        else
                n = asprintf(&text, "release %s %s after %s, failed in %s: %s", deployment->to.version,
                             outcome_to_string(deployment->outcome), took,
                             step_to_string(deployment->failed_step),
                             deployment->reason ? deployment->reason : "unknown");
        if (n < 0)
                text = NULL;
        log_step(engine, good ? LOG_NOTICE : LOG_ERR, outcome_message_id(deployment->outcome),
                 text ? text : "ended");
}

static void finish(Engine *engine) {
        const EngineContext *context = &engine->context;
        Error error = {};

        log_outcome(engine);
        if (record_keep_history(context->store->app_fd, engine_deployment(engine), &error) < 0)
                log_warning("%s: %s", context->app, error.message);
        engine->done(engine, engine->userdata);
}

static int run_next(sd_event_source *source, void *userdata);

static void schedule(Engine *engine) {
        int r = sd_event_source_set_enabled(engine->next, SD_EVENT_ONESHOT);

        if (r < 0)
                log_error("%s: cannot go on with a deployment: %s", engine->context.app, strerror(-r));
}

void engine_step_done(Engine *engine, int result, const Error *error) {
        DeploymentEvent event = { .kind = result == 0 ? DEPLOYMENT_STEP_SUCCEEDED : DEPLOYMENT_STEP_FAILED };
        _cleanup_buffer_ Buffer tail = engine->work.tail;
        Step step = engine_deployment(engine)->step;
        Error problem = {};

        engine->work.tail = (Buffer){};
        if (result != 0) {
                event.reason =
                        error && error->message[0] ? error->message : strerror(result < 0 ? -result : EIO);
                event.fault = error ? error->fault : error_fault_of(result);
                log_step(engine, LOG_WARNING, MESSAGE_STEP_FAILED, event.reason);
        }
        if (tail.size > 0)
                event.tail = buffer_string(&tail);
        if (apply(engine, &event, &problem) < 0)
                log_error("%s: after %s: %s", engine->context.app, step_to_string(step), problem.message);
        schedule(engine);
}

/* -EIO-like faults of writing the record before a step: the step is not begun, and counts as failed. */
static void fail_before(Engine *engine, const Error *error) {
        DeploymentEvent event = { .kind = DEPLOYMENT_STEP_FAILED,
                                  .reason = error->message,
                                  .fault = FAULT_HOST };
        Error ignored = {};

        log_step(engine, LOG_ERR, MESSAGE_STEP_FAILED, error->message);
        (void) apply(engine, &event, &ignored);
        schedule(engine);
}

static int run_next(_unused_ sd_event_source *source, void *userdata) {
        Engine *engine = userdata;
        DeploymentEvent event = { .kind = DEPLOYMENT_STEP_STARTED };
        Error error = {};
        int r;

        clear_work(&engine->work);
        if (!deployment_is_running(engine_deployment(engine))) {
                finish(engine);
                return 0;
        }
        r = apply(engine, &event, &error);
        if (r < 0 && !step_is_rollback(engine_deployment(engine)->step)) {
                fail_before(engine, &error);
                return 0;
        }
        engine->percent = -1;
        log_step(engine, LOG_INFO, MESSAGE_STEP_STARTED, step_to_string(engine_deployment(engine)->step));
        engine->changed(engine, engine->userdata);
        error = (Error){};
        r = functions[engine_deployment(engine)->step](engine, &error);
        if (r == STEP_FINISHED)
                engine_step_done(engine, 0, NULL);
        else if (r < 0)
                engine_step_done(engine, r, &error);
        return 0;
}

static int engine_new(const EngineContext *context, EngineDone done, EngineChanged changed, void *userdata,
                      Engine **ret, Error *error) {
        _cleanup_(engine_freep) Engine *engine = NULL;
        int r;

        engine = malloc(sizeof(*engine));
        if (!engine)
                return error_oom(error);
        *engine = (Engine){
                .context = *context,
                .done = done,
                .changed = changed,
                .userdata = userdata,
                .work = { .unit_dir_fd = -1, .output_fd = -1, .release_fd = -1 },
                .archive_fd = -1,
                .percent = -1,
        };
        r = sd_event_add_defer(context->event, &engine->next, run_next, engine);
        if (r < 0)
                return error_set_errno(error, r, "cannot use the event loop");
        *ret = TAKE_PTR(engine);
        return 0;
}

static int take_local(Engine *engine, const EngineOrder *order, Error *error) {
        if (!order->release_json)
                return 0;
        if (string_set(&engine->release_json, order->release_json) < 0)
                return error_oom(error);
        engine->archive_fd = fcntl(order->archive_fd, F_DUPFD_CLOEXEC, 3);
        return engine->archive_fd < 0 ? error_set_errno(error, -errno, "cannot keep the archive open") : 0;
}

static int new_id(const EngineContext *context, char **ret) {
        char id[DEPLOYMENT_ID_SIZE];

        deployment_id_make(clock_realtime(context->clock), context->record->deployment.id,
                           (uint16_t) random_u64(), id);
        return string_set(ret, id);
}

static int new_deployment(const EngineContext *context, const EngineOrder *order, Deployment *ret) {
        Deployment deployment = {
                .serial = order->serial,
                .local = order->release_json,
                .env_changed = order->env_changed,
                .started = clock_realtime(context->clock),
        };
        int r;

        memcpy(deployment.env_sha256, order->env_sha256, sizeof(deployment.env_sha256));
        r = new_id(context, &deployment.id);
        STRV_FOREACH(s, order->environment)
                if (r >= 0)
                        r = strv_append(&deployment.environment, *s);
        if (r >= 0)
                r = release_ref_copy(&deployment.to, &order->release);
        if (r >= 0)
                r = release_ref_copy(&deployment.from, &context->record->good);
        if (r < 0)
                deployment_deinit(&deployment);
        else
                *ret = deployment;
        return r;
}

/* The good release's own document: for its ApplicationStop, and for the way back. */
static void load_from(Engine *engine) {
        const Deployment *deployment = engine_deployment(engine);
        Error error = {};

        if (deployment->from.version &&
            engine_load_release(engine->context.store, &deployment->from, &engine->from, &error) < 0)
                log_warning("%s: release %s, which runs now, has no document any more: %s",
                            engine->context.app, deployment->from.version, error.message);
}

int engine_start(const EngineContext *context, const EngineOrder *order, EngineDone done,
                 EngineChanged changed, void *userdata, Engine **ret, Error *error) {
        _cleanup_(engine_freep) Engine *engine = NULL;
        Deployment deployment;
        int r;

        r = engine_new(context, done, changed, userdata, &engine, error);
        if (r < 0)
                return r;
        r = take_local(engine, order, error);
        if (r < 0)
                return r;
        engine->release_floor = order->release_floor;
        if (new_deployment(context, order, &deployment) < 0)
                return error_oom(error);
        deployment_deinit(&context->record->deployment);
        context->record->deployment = deployment;
        load_from(engine);
        log_step(engine, LOG_INFO, MESSAGE_DEPLOYMENT_STARTED, "deployment begins");
        *ret = TAKE_PTR(engine);
        return 0;
}

int engine_resume(const EngineContext *context, EngineDone done, EngineChanged changed, void *userdata,
                  Engine **ret, Error *error) {
        _cleanup_(engine_freep) Engine *engine = NULL;
        DeploymentEvent event = { .kind = DEPLOYMENT_RESUMED };
        int r;

        r = engine_new(context, done, changed, userdata, &engine, error);
        if (r < 0)
                return r;
        load_from(engine);
        if (deployment_has_changed_anything(engine_deployment(engine))) {
                r = engine_load_release(context->store, &engine_deployment(engine)->to, &engine->to, error);
                if (r < 0)
                        log_warning("%s: %s", context->app, error->message);
        }
        r = apply(engine, &event, error);
        if (r < 0)
                log_error("%s: %s", context->app, error->message);
        log_step(engine, LOG_NOTICE, MESSAGE_DEPLOYMENT_RESUMED,
                 "a deployment that was interrupted is taken up");
        *ret = TAKE_PTR(engine);
        return 0;
}

int engine_cancel(Engine *engine, const char *reason) {
        DeploymentEvent event = { .kind = DEPLOYMENT_CANCELLED, .reason = reason, .fault = FAULT_HOST };
        Error error = {};

        if (!deployment_is_running(engine_deployment(engine)) ||
            deployment_has_changed_anything(engine_deployment(engine)))
                return -EBUSY;
        clear_work(&engine->work);
        if (apply(engine, &event, &error) < 0)
                log_error("%s: %s", engine->context.app, error.message);
        schedule(engine);
        return 0;
}

int engine_percent(const Engine *engine) {
        return engine->percent;
}

Engine *engine_free(Engine *engine) {
        if (!engine)
                return NULL;
        clear_work(&engine->work);
        sd_event_source_unref(engine->next);
        release_free(engine->to);
        release_free(engine->from);
        free(engine->to_document);
        free(engine->release_json);
        close_fd(engine->archive_fd);
        free(engine);
        return NULL;
}
