#include <fcntl.h>
#include <string.h>

#include "agent/base/clock.h"
#include "agent/base/log.h"
#include "agent/base/strv.h"
#include "agent/base/timer.h"
#include "agent/engine_log.h"
#include "agent/engine_order.h"
#include "agent/engine_step.h"
#include "agent/messages.h"
#include "agent/record_history.h"
#include "agent/spare.h"

#define SAVE_RETRY_FIRST (1 * USEC_PER_SEC)
#define SAVE_RETRY_MAX (60 * USEC_PER_SEC)

static const StepFunction functions[STEP_COUNT] = {
        [STEP_VERIFY] = step_verify,
        [STEP_FETCH] = step_fetch,
        [STEP_BEFORE_BLOCK_TRAFFIC] = step_hooks,
        [STEP_BLOCK_TRAFFIC] = step_block_traffic,
        [STEP_AFTER_BLOCK_TRAFFIC] = step_hooks,
        [STEP_APPLICATION_STOP] = step_hooks,
        [STEP_BEFORE_INSTALL] = step_hooks,
        [STEP_SWITCH] = step_switch,
        [STEP_AFTER_INSTALL] = step_hooks,
        [STEP_UNITS] = step_units,
        [STEP_APPLICATION_START] = step_hooks,
        [STEP_VALIDATE_SERVICE] = step_hooks,
        [STEP_HEALTH] = step_health,
        [STEP_BEFORE_ALLOW_TRAFFIC] = step_hooks,
        [STEP_ALLOW_TRAFFIC] = step_allow_traffic,
        [STEP_AFTER_ALLOW_TRAFFIC] = step_hooks,
        [STEP_COMMIT] = step_commit,
        [STEP_ROLLBACK_BLOCK_TRAFFIC] = step_block_traffic,
        [STEP_ROLLBACK_STOP] = step_hooks,
        [STEP_ROLLBACK_SWITCH] = step_switch,
        [STEP_ROLLBACK_UNITS] = step_units,
        [STEP_ROLLBACK_START] = step_hooks,
        [STEP_ROLLBACK_HEALTH] = step_health,
        [STEP_ROLLBACK_ALLOW_TRAFFIC] = step_allow_traffic,
        [STEP_STOP_UNITS] = step_stop_units,
        [STEP_ADOPT] = step_adopt,
};

const Release *engine_subject(const Engine *engine) {
        return step_is_rollback(engine_deployment(engine)->step) ? engine->from : engine->to;
}

const ReleaseRef *engine_subject_ref(const Engine *engine) {
        const Deployment *deployment = engine_deployment(engine);

        return step_is_rollback(deployment->step) ? &deployment->from : &deployment->to;
}

char *const *engine_subject_environment(const Engine *engine) {
        const Deployment *deployment = engine_deployment(engine);

        return step_is_rollback(deployment->step) ? engine->context.record->good_environment
                                                  : deployment->environment;
}

static void clear_work(StepWork *work) {
        depot_op_free(work->depot);
        installed_check_free(work->check);
        store_clean_free(work->clean);
        receive_free(work->receive);
        hook_leftovers_free(work->leftovers);
        hook_list_free(work->hooks);
        unit_removal_free(work->removal);
        manager_call_free(work->reload);
        unit_job_free(work->job);
        task_free(work->files);
        health_free(work->health);
        unit_enable_free(work->enable);
        registration_find_free(work->find);
        target_group_free(work->target_group);
        sd_event_source_unref(work->turn);
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

/* What leads to the end is not to fail for want of room, whichever end it is; nor what an operator goes back by, perhaps because
 * the release that serves has filled the disk. */
static bool may_use_spare(const Record *record) {
        const Deployment *deployment = &record->deployment;

        return !deployment_is_running(deployment) || step_is_rollback(deployment->step) ||
               deployment->step == STEP_COMMIT || record_is_way_back(record, deployment->to.sha256);
}

static int save(const Engine *engine, Error *error) {
        const EngineContext *context = &engine->context;
        int app_fd = context->store->app_fd;
        int r = record_save(app_fd, context->record, error);

        if (r < 0 && may_use_spare(context->record) && spare_helps(app_fd, r)) {
                engine_log(context, LOG_WARNING, NULL,
                           "the disk is full: the room that was kept for this case is used");
                r = record_save(app_fd, context->record, error);
        }
        return r;
}

/* A record that cannot be written is a fault of the host: the deployment goes on in memory and is written with the next
 * change, but nothing new is begun that the record does not know of (run_step), and nothing is committed. */
static int apply(Engine *engine, DeploymentEvent *event, Error *error) {
        EngineContext *context = &engine->context;
        int r;

        event->at = clock_realtime(context->clock);
        event->boot_id = context->boot_id;
        r = deployment_apply(&context->record->deployment, event);
        if (r >= 0 && !deployment_is_running(engine_deployment(engine)))
                r = record_end(context->record, context->boot_id);
        if (r < 0)
                return error_set_errno(error, r, "cannot change the deploy record");
        r = save(engine, error);
        engine->saved = r >= 0;
        return r;
}

static void finish(Engine *engine) {
        const EngineContext *context = &engine->context;
        Error error = {};

        engine_log_outcome(context);
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

/* Nothing that the deployment was about is told before the disk has it. */
static void save_later(Engine *engine, const Error *error) {
        if (strcmp(engine->problem, error->message) != 0) {
                snprintf(engine->problem, sizeof(engine->problem), "%s", error->message);
                engine_log(&engine->context, LOG_ERR, MESSAGE_STEP_FAILED, error->message);
                engine->changed(engine, engine->userdata);
        }
        (void) sd_event_source_set_time_relative(engine->timer, engine->save_delay);
        (void) sd_event_source_set_enabled(engine->timer, SD_EVENT_ONESHOT);
        engine->save_delay = MIN(engine->save_delay * 2, SAVE_RETRY_MAX);
}

static void save_end(Engine *engine) {
        Error error = {};

        if (save(engine, &error) < 0)
                save_later(engine, &error);
        else
                finish(engine);
}

/* Only what is on the disk is committed: a power cut before that would take the instance back to the old release. So where
 * it cannot be written, nothing has happened, the release that passed its checks goes on, and it is tried again. */
static void commit(Engine *engine) {
        DeploymentEvent event = { .kind = DEPLOYMENT_STEP_SUCCEEDED };
        Record *record = engine->context.record, before = {};
        _cleanup_free_ char *text = NULL;
        Error problem = {};
        int r;

        r = record_to_text(record, &text);
        if (r >= 0)
                r = record_parse(text, strlen(text), &before, &problem);
        if (r >= 0) {
                r = apply(engine, &event, &problem);
                if (r < 0) {
                        record_deinit(record);
                        *record = before;
                } else {
                        record_deinit(&before);
                }
        }
        if (r < 0)
                save_later(engine, &problem);
        else
                schedule(engine);
}

void engine_step_done(Engine *engine, int result, const Error *error) {
        DeploymentEvent event = { .kind = result == 0 ? DEPLOYMENT_STEP_SUCCEEDED : DEPLOYMENT_STEP_FAILED };
        _cleanup_buffer_ Buffer tail = engine->work.tail;
        Step step = engine_deployment(engine)->step;
        Error problem = {};

        engine->work.tail = (Buffer){};
        if (step == STEP_VERIFY && engine->to)
                engine->context.record->deployment.traffic =
                        engine->to->traffic == RELEASE_TRAFFIC_TARGET_GROUP;
        if (step == STEP_COMMIT && result == 0) {
                commit(engine);
                return;
        }
        if (result != 0) {
                event.reason =
                        error && error->message[0] ? error->message : strerror(result < 0 ? -result : EIO);
                event.fault = error ? error->fault : error_fault_of(result);
                engine_log(&engine->context, LOG_WARNING, MESSAGE_STEP_FAILED, event.reason);
                if (step_is_rollback(step)) /* for the next try */
                        (void) spare_helps(engine->context.store->app_fd, result);
        }
        if (tail.size > 0)
                event.tail = buffer_string(&tail);
        if (apply(engine, &event, &problem) < 0)
                log_error("%s: after %s: %s", engine->context.app, step_to_string(step), problem.message);
        schedule(engine);
}

int engine_hook_done(Engine *engine, Error *error) {
        DeploymentEvent event = { .kind = DEPLOYMENT_HOOK_SUCCEEDED };

        return apply(engine, &event, error);
}

/* -EIO-like faults of writing the record before a step: the step is not begun, and counts as failed. */
static void fail_before(Engine *engine, const Error *error) {
        DeploymentEvent event = { .kind = DEPLOYMENT_STEP_FAILED,
                                  .reason = error->message,
                                  .fault = FAULT_HOST };
        Error ignored = {};

        engine_log(&engine->context, LOG_ERR, MESSAGE_STEP_FAILED, error->message);
        (void) apply(engine, &event, &ignored);
        schedule(engine);
}

/* With a release's document everything that would be done about it is gone: to go on would mean to skip its hooks and
 * checks. (The failed release's own stop is the exception, which nothing hangs on.) */
static int check_documents(const Engine *engine, Error *error) {
        const Deployment *deployment = engine_deployment(engine);
        bool back = step_is_rollback(deployment->step);

        if (deployment->step <= STEP_APPLICATION_STOP || deployment->step == STEP_ROLLBACK_BLOCK_TRAFFIC ||
            deployment->step == STEP_ROLLBACK_STOP || deployment->step == STEP_ROLLBACK_ALLOW_TRAFFIC ||
            deployment->step == STEP_STOP_UNITS || !engine_subject_ref(engine)->version ||
            engine_subject(engine))
                return 0;
        return error_set_fault(error, -ENOENT, FAULT_HOST,
                               "the document of release %s, which was verified, is not in the store any more",
                               back ? deployment->from.version : deployment->to.version);
}

static bool must_look(const Engine *engine) {
        const Deployment *deployment = engine_deployment(engine);
        bool step = deployment->step == STEP_BEFORE_BLOCK_TRAFFIC ||
                    deployment->step == STEP_APPLICATION_STOP || deployment->step == STEP_SWITCH ||
                    deployment->step == STEP_COMMIT;

        return step && !engine->looked && !deployment->local && deployment->kind == KIND_DEPLOY &&
               engine->context.look.begin;
}

/* A pin of this instance is known without a look. */
static void look(Engine *engine) {
        engine->looking = true;
        if (engine_deployment(engine)->serial == 0) {
                engine_looked(engine);
                return;
        }
        (void) sd_event_source_set_time_relative(engine->timer, ENGINE_LOOK_MAX);
        (void) sd_event_source_set_enabled(engine->timer, SD_EVENT_ONESHOT);
        engine->context.look.begin(engine->context.look.userdata);
}

static void end_early(Engine *engine, DeploymentEventKind how, const char *reason) {
        DeploymentEvent event = { .kind = how, .reason = reason, .fault = FAULT_HOST };
        Error error = {};

        engine_log(&engine->context, LOG_NOTICE, NULL, reason);
        if (apply(engine, &event, &error) < 0)
                log_error("%s: %s", engine->context.app, error.message);
        schedule(engine);
}

void engine_looked(Engine *engine) {
        const EngineLook *context = &engine->context.look;
        const char *leaves = NULL, *objection;

        if (!engine->looking)
                return;
        engine->looking = false;
        (void) sd_event_source_set_enabled(engine->timer, SD_EVENT_OFF);
        engine->looked = true;
        if (engine_deployment(engine)->step <= STEP_SWITCH && context->leaves)
                leaves = context->leaves(context->userdata);
        objection = context->objects(context->userdata);
        if (leaves)
                end_early(engine, DEPLOYMENT_CUT, leaves);
        else if (objection)
                end_early(engine, DEPLOYMENT_CANCELLED, objection);
        else
                schedule(engine);
}

static int on_timer(_unused_ sd_event_source *source, _unused_ uint64_t usec, void *userdata) {
        Engine *engine = userdata;

        if (engine->looking) {
                engine_log(&engine->context, LOG_INFO, NULL,
                           "the depot does not answer; the deployment goes on with what is known");
                engine_looked(engine);
        } else if (deployment_is_running(engine_deployment(engine))) {
                commit(engine);
        } else {
                save_end(engine);
        }
        return 0;
}

static void run_step(Engine *engine) {
        DeploymentEvent event = { .kind = DEPLOYMENT_STEP_STARTED };
        Error error = {};
        int r;

        engine->looked = false;
        if (engine_deployment(engine)->step ==
            STEP_APPLICATION_STOP) /* from here on there is something to go back from */
                spare_keep(engine->context.store->app_fd);
        r = apply(engine, &event, &error);
        if (r < 0 && !step_is_rollback(engine_deployment(engine)->step)) {
                fail_before(engine, &error);
                return;
        }
        engine->percent = -1;
        engine_log(&engine->context, LOG_INFO, MESSAGE_STEP_STARTED,
                   step_to_string(engine_deployment(engine)->step));
        engine->changed(engine, engine->userdata);
        error = (Error){};
        r = check_documents(engine, &error);
        if (r >= 0)
                r = functions[engine_deployment(engine)->step](engine, &error);
        if (r == STEP_FINISHED)
                engine_step_done(engine, 0, NULL);
        else if (r < 0)
                engine_step_done(engine, r, &error);
}

/* Nobody waits for an instance that goes to be found healthy. */
static const char *waits_in_vain(const Engine *engine) {
        const EngineLook *look = &engine->context.look;

        return look->leaves && deployment_only_waits(engine_deployment(engine)) ? look->leaves(look->userdata)
                                                                                : NULL;
}

static int run_next(_unused_ sd_event_source *source, void *userdata) {
        Engine *engine = userdata;
        bool running = deployment_is_running(engine_deployment(engine));
        const char *leaves = running ? waits_in_vain(engine) : NULL;

        clear_work(&engine->work);
        if (!running && engine->saved)
                finish(engine);
        else if (!running)
                save_end(engine);
        else if (leaves)
                end_early(engine, DEPLOYMENT_CUT, leaves);
        else if (must_look(engine))
                look(engine);
        else
                run_step(engine);
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
                .save_delay = SAVE_RETRY_FIRST,
        };
        r = sd_event_add_defer(context->event, &engine->next, run_next, engine);
        if (r >= 0)
                r = timer_new(context->event, CLOCK_BOOTTIME, on_timer, engine, &engine->timer);
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

/* The new release's document, once it is in the store. */
static void load_to(Engine *engine) {
        Error error = {};

        if (engine_deployment(engine)->step > STEP_FETCH &&
            engine_load_release(engine->context.store, &engine_deployment(engine)->to, &engine->to, &error) <
                    0)
                log_warning("%s: %s", engine->context.app, error.message);
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

/* What is stopped says itself whether it is behind a load balancer. */
static void begin_drain(Engine *engine) {
        Deployment *deployment = &engine->context.record->deployment;

        deployment->traffic = engine->from && engine->from->traffic == RELEASE_TRAFFIC_TARGET_GROUP;
        deployment->step = deployment_first_step(KIND_DRAIN, deployment->traffic);
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
        if (engine_order_deployment(context, order, &deployment) < 0)
                return error_oom(error);
        deployment_deinit(&context->record->deployment);
        context->record->deployment = deployment;
        load_from(engine);
        if (order->kind == KIND_DRAIN)
                begin_drain(engine);
        engine_log_begin(context);
        *ret = TAKE_PTR(engine);
        return 0;
}

static int take_up(const EngineContext *context, DeploymentEventKind kind, EngineDone done,
                   EngineChanged changed, void *userdata, Engine **ret, Error *error) {
        _cleanup_(engine_freep) Engine *engine = NULL;
        DeploymentEvent event = { .kind = kind };
        Error problem = {};
        int r;

        r = engine_new(context, done, changed, userdata, &engine, error);
        if (r < 0)
                return r;
        load_from(engine);
        load_to(engine);
        if (apply(engine, &event, &problem) < 0)
                log_error("%s: %s", context->app, problem.message);
        *ret = TAKE_PTR(engine);
        return 0;
}

int engine_resume(const EngineContext *context, EngineDone done, EngineChanged changed, void *userdata,
                  Engine **ret, Error *error) {
        int r = take_up(context, DEPLOYMENT_RESUMED, done, changed, userdata, ret, error);

        if (r >= 0)
                engine_log(context, LOG_NOTICE, MESSAGE_DEPLOYMENT_RESUMED,
                           "a deployment that was interrupted is taken up");
        return r;
}

int engine_retry_rollback(const EngineContext *context, EngineDone done, EngineChanged changed,
                          void *userdata, Engine **ret, Error *error) {
        int r = take_up(context, DEPLOYMENT_ROLLBACK_RETRIED, done, changed, userdata, ret, error);

        if (r >= 0)
                engine_log(context, LOG_NOTICE, MESSAGE_DEPLOYMENT_RESUMED,
                           "the way back, which failed, is tried again");
        return r;
}

/* Health checks and the load balancer's only look, and may take minutes that a release which nobody wants any more does
 * not get. */
static bool can_be_cancelled(const Deployment *deployment) {
        bool waits = deployment->step == STEP_HEALTH || deployment->step == STEP_ALLOW_TRAFFIC;

        return deployment_is_running(deployment) && deployment->kind != KIND_DRAIN &&
               !step_is_rollback(deployment->step) &&
               (!deployment_has_changed_anything(deployment) || (waits && deployment->step_started));
}

static void stop_working(Engine *engine) {
        clear_work(&engine->work);
        engine->looking = false;
        (void) sd_event_source_set_enabled(engine->timer, SD_EVENT_OFF);
}

int engine_cancel(Engine *engine, const char *reason) {
        if (!can_be_cancelled(engine_deployment(engine)))
                return -EBUSY;
        stop_working(engine);
        end_early(engine, DEPLOYMENT_CANCELLED, reason);
        return 0;
}

int engine_cut(Engine *engine, const char *reason) {
        const Deployment *deployment = engine_deployment(engine);

        if (!deployment_is_running(deployment) ||
            (deployment->step == STEP_COMMIT && deployment->step_started))
                return -EBUSY;
        stop_working(engine);
        end_early(engine, DEPLOYMENT_CUT, reason);
        return 0;
}

void engine_stay_out(Engine *engine) {
        const Deployment *deployment = engine_deployment(engine);
        bool joins =
                deployment->step == STEP_ALLOW_TRAFFIC || deployment->step == STEP_ROLLBACK_ALLOW_TRAFFIC;
        Error error = {};
        int r;

        if (!deployment_is_running(deployment) || !joins || !deployment->step_started)
                return;
        stop_working(engine);
        r = step_allow_traffic(engine, &error); /* which asks whether it may */
        if (r != STEP_STARTED)
                engine_step_done(engine, r == STEP_FINISHED ? 0 : r, &error);
}

void engine_skip(Engine *engine, const char *reason) {
        const Deployment *deployment = engine_deployment(engine);
        Error error;

        if (deployment->kind != KIND_DRAIN || !deployment->step_started ||
            deployment->step == STEP_STOP_UNITS)
                return;
        stop_working(engine);
        error_set_fault(&error, -ETIMEDOUT, FAULT_HOST, "%s", reason);
        engine_step_done(engine, -ETIMEDOUT, &error);
}

const char *engine_problem(const Engine *engine) {
        return engine->problem;
}

int engine_percent(const Engine *engine) {
        return engine->percent;
}

LaunchWork engine_work(const Engine *engine) {
        const Deployment *deployment = engine_deployment(engine);

        return (LaunchWork){
                .release_sha256 = deployment->to.sha256,
                .deployment = deployment->id,
                .step = deployment->step,
                .part = deployment->hooks_done + (unsigned) engine->work.unit,
                .bytes = engine->work.bytes,
                .allowance = engine->work.allowance,
        };
}

Engine *engine_free(Engine *engine) {
        if (!engine)
                return NULL;
        clear_work(&engine->work);
        sd_event_source_unref(engine->next);
        sd_event_source_unref(engine->timer);
        release_free(engine->to);
        release_free(engine->from);
        free(engine->to_document);
        free(engine->release_json);
        close_fd(engine->archive_fd);
        free(engine);
        return NULL;
}
