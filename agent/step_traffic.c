#include "agent/base/log.h"
#include "agent/base/strv.h"
#include "agent/base/utf8.h"
#include "agent/engine_step.h"
#include "agent/messages.h"
#include "agent/record_copy.h"

/* BLOCK_TRAFFIC and ALLOW_TRAFFIC, and the same of the way back. As what the instance is deregistered is in the record before
 * it is done, and is taken out of the record only when it is registered again: so whatever becomes of this deployment, of
 * musterd or of the machine, it is known what is to be put back (rejoin.h). */

#define TURN_INTERVAL (1 * USEC_PER_SEC)
#define LIFE_INTERVAL (100 * USEC_PER_MSEC) /* the instance metadata are near */

static void log_traffic(const Engine *engine, int priority, const char *message_id, const char *text) {
        const Deployment *deployment = engine_deployment(engine);
        const LogFields fields = {
                .app = engine->context.app,
                .version = deployment->to.version,
                .deployment = deployment->id,
                .event = step_lifecycle_event(deployment->step),
                .instance = engine->context.instance,
        };

        log_message(priority, message_id, &fields, "%s", text);
}

static void tell_registrations(const Engine *engine, const char *message_id, const char *what) {
        _cleanup_free_ char *groups = NULL, *text = NULL;

        if (target_registrations_to_text(&engine->context.record->deregistered, &groups) < 0)
                return;
        if (asprintf(&text, "%s %s", what, groups) < 0)
                text = NULL;
        log_traffic(engine, LOG_NOTICE, message_id, text ? text : what);
}

/* The copy is for a record that cannot be read, as well. */
static int save(Engine *engine, Error *error) {
        int app_fd = engine->context.store->app_fd;
        const Record *record = engine->context.record;
        int r = record_copy_keep(app_fd, record, error);

        return r < 0 ? r : record_save(app_fd, engine->context.record, error);
}

static TargetGroupContext group_context(Engine *engine, uint64_t patience) {
        engine->work.allowance = patience;
        return (TargetGroupContext){
                .event = engine->context.event,
                .clock = engine->context.clock,
                .aws = engine->context.traffic.aws,
                .instance = engine->context.instance,
                .patience = patience,
        };
}

static void on_left(_unused_ TargetGroup *operation, int result, const Error *error, void *userdata) {
        Engine *engine = userdata;
        Error problem = *error;

        if (result == TARGET_GROUP_LATE)
                error_prefix(&problem, "requests that are under way have not ended within drain_timeout");
        if (result == 0 && engine->context.record->deregistered.n == 0)
                log_traffic(
                        engine, LOG_NOTICE, MESSAGE_TRAFFIC_BLOCKED,
                        "the target groups that somebody else took the instance out of have no request under way");
        else if (result == 0)
                tell_registrations(engine, MESSAGE_TRAFFIC_BLOCKED, "no more requests come by target groups");
        engine_step_done(engine, result, &problem);
}

/* What is deregistered here is put back; what somebody else has deregistered is only waited for, as long as requests
 * are under way. */
static int leave_all(Engine *engine, const TargetRegistrations *draining, Error *error) {
        const TargetGroupContext context = group_context(engine, engine->context.config->drain_timeout);
        _cleanup_(target_registrations_deinit) TargetRegistrations all = {};
        int r;

        if (target_registrations_merge(&all, &engine->context.record->deregistered) < 0 ||
            target_registrations_merge(&all, draining) < 0)
                return error_oom(error);
        r = target_group_leave_start(&context, &all, on_left, engine, &engine->work.target_group, error);
        return r < 0 ? r : STEP_STARTED;
}

/* STEP_STARTED, STEP_FINISHED or a negative errno. */
static int leave(Engine *engine, const RegistrationFind *find, Error *error) {
        TargetRegistrations *deregistered = &engine->context.record->deregistered;
        const TargetRegistrations *draining = registration_find_draining(find);
        int r;

        if (target_registrations_merge(deregistered, registration_find_found(find)) < 0)
                return error_oom(error);
        if (deregistered->n == 0 && draining->n == 0) {
                log_traffic(engine, LOG_INFO, NULL, "the instance is registered in no target group");
                return STEP_FINISHED;
        }
        r = deregistered->n > 0 ? save(engine, error) : 0;
        return r < 0 ? r : leave_all(engine, draining, error);
}

static void on_found(RegistrationFind *find, int result, const Error *error, void *userdata) {
        Engine *engine = userdata;
        Error problem = *error;

        if (result < 0 && !engine_deployment(engine)->from.version) {
                /* Nothing of the app serves yet that a request could miss. */
                log_traffic(engine, LOG_WARNING, NULL, error->message);
                result = STEP_FINISHED;
        } else if (result == 0) {
                result = leave(engine, find, &problem);
        }
        if (result != STEP_STARTED)
                engine_step_done(engine, result == STEP_FINISHED ? 0 : result, &problem);
}

static int find(Engine *engine, Error *error) {
        const EngineTraffic *traffic = &engine->context.traffic;
        const RegistrationFindContext context = {
                .aws = traffic->aws,
                .target_groups = engine->context.config->target_groups,
                .scaling_group = traffic->scaling_group,
                .instance = engine->context.instance,
        };
        int r;

        r = registration_find_start(&context, on_found, engine, &engine->work.find, error);
        return r < 0 ? r : STEP_STARTED;
}

static int take_turn(Engine *engine, Error *error);

/* HANDLER goes on in a moment. */
static int wait_for(Engine *engine, uint64_t interval, sd_event_time_handler_t handler, Error *error) {
        int r;

        engine->work.turn = sd_event_source_unref(engine->work.turn);
        r = sd_event_add_time_relative(engine->context.event, &engine->work.turn, CLOCK_BOOTTIME, interval,
                                       TIMER_ACCURACY_EXACT, handler, engine);
        return r < 0 ? error_set_errno(error, r, "cannot use the event loop") : STEP_STARTED;
}

static int on_turn(_unused_ sd_event_source *source, _unused_ uint64_t usec, void *userdata) {
        Engine *engine = userdata;
        Error error = {};
        int r;

        r = take_turn(engine, &error);
        if (r < 0)
                engine_step_done(engine, r, &error);
        return 0;
}

static void tell_turn(const Engine *engine, const char *other) {
        char text[160];

        utf8_format(text, sizeof(text), "waits until app %s is done with the load balancer", other);
        log_traffic(engine, LOG_INFO, NULL, text);
}

/* Two apps that leave at once would each take the other one's way back in the middle of its change. */
static int take_turn(Engine *engine, Error *error) {
        const char **turn = engine->context.traffic.turn;

        if (!*turn || string_equal(*turn, engine->context.app)) {
                *turn = engine->context.app;
                return find(engine, error);
        }
        if (!engine->work.turn)
                tell_turn(engine, *turn);
        return wait_for(engine, TURN_INTERVAL, on_turn, error);
}

int step_block_traffic(Engine *engine, Error *error) {
        if (engine->context.traffic.aws)
                return take_turn(engine, error);
        log_traffic(engine, LOG_INFO, NULL, "there is no load balancer to leave: the depot is not on AWS");
        return STEP_FINISHED;
}

static void on_joined(TargetGroup *operation, int result, const Error *error, void *userdata) {
        Engine *engine = userdata;
        Error problem = *error, ignored = {};

        if (result == TARGET_GROUP_LATE)
                error_prefix(&problem, "the load balancer does not send requests within healthy_timeout");
        if (target_group_is_registered(operation)) {
                if (result == 0)
                        tell_registrations(engine, MESSAGE_TRAFFIC_ALLOWED,
                                           "requests come again by target groups");
                target_registrations_deinit(&engine->context.record->deregistered);
                (void) save(
                        engine,
                        &ignored); /* the next step is recorded in any case; to register twice does no harm */
        }
        engine_step_done(engine, result, &problem);
}

static int on_known(_unused_ sd_event_source *source, _unused_ uint64_t usec, void *userdata) {
        Engine *engine = userdata;
        Error error = {};
        int r;

        r = step_allow_traffic(engine, &error);
        if (r != STEP_STARTED)
                engine_step_done(engine, r == STEP_FINISHED ? 0 : r, &error);
        return 0;
}

int step_allow_traffic(Engine *engine, Error *error) {
        const TargetGroupContext context = group_context(engine, engine->context.config->healthy_timeout);
        const TargetRegistrations *deregistered = &engine->context.record->deregistered;
        const EngineTraffic *traffic = &engine->context.traffic;
        int r;

        if (deregistered->n == 0 || !traffic->aws)
                return STEP_FINISHED;
        r = traffic->may_join ? traffic->may_join(traffic->userdata) : 1;
        if (r == -EAGAIN)
                return wait_for(engine, LIFE_INTERVAL, on_known, error);
        if (r == 0) {
                log_traffic(engine, LOG_NOTICE, NULL,
                            "the instance is not to serve any more and stays out of its target groups");
                return STEP_FINISHED;
        }
        r = target_group_join_start(&context, deregistered, on_joined, engine, &engine->work.target_group,
                                    error);
        return r < 0 ? r : STEP_STARTED;
}
