#include "agent/app_life.h"
#include "agent/app_parts.h"
#include "agent/base/strv.h"

#define LIFE_PATIENCE (30 * USEC_PER_SEC) /* then it is put back, whatever it is */
#define LIFE_RECENT                                                                                          \
        (2 * USEC_PER_SEC) /* the group may have begun to take it out of service since the last look */

/* The load balancer, between deployments: whatever one of them has left the instance out of is joined again. */

static void on_rejoined(_unused_ Rejoin *rejoin, void *userdata) {
        App *app = userdata;

        app->rejoin = rejoin_free(app->rejoin);
        app_traffic_settle(app);
        app_tell(app);
}

/* musterd has only just started, perhaps again, on an instance that may be about to go: nobody has said so yet. */
static int may_join(void *userdata) {
        const App *app = userdata;

        if (app->life.life == LIFE_UNKNOWN &&
            clock_boottime(app->context.clock) < usec_add(app->began, LIFE_PATIENCE))
                return -EAGAIN;
        if (!instance_life_has_traffic(app->life.life))
                return 0;
        return app->context.life && !life_watch_is_recent(app->context.life, LIFE_RECENT) ? -EAGAIN : 1;
}

EngineTraffic app_engine_traffic(App *app) {
        return (EngineTraffic){
                .aws = app->context.aws,
                .scaling_group = app->context.config->launch_group, /* else the one of now is asked for */
                .turn = app->context.traffic_turn,
                .may_join = may_join,
                .userdata = app,
        };
}

void app_traffic_settle(App *app) {
        const RejoinContext context = {
                .event = app->context.event,
                .clock = app->context.clock,
                .aws = app->context.aws,
                .instance = app->context.identity->instance,
                .record = &app->record,
                .app_fd = app->store->app_fd,
                .fields = app_fields(app),
                .may_join = may_join,
        };
        Error error = {};

        if (app->record.deregistered.n == 0 || may_join(app) == 0 || app->record.good_is_stopped) {
                app->rejoin = rejoin_free(app->rejoin);
                app_traffic_leave_turn(app);
                return;
        }
        *app->context.traffic_turn = app->config->name;
        if (context.aws && !app->rejoin && !deployment_is_running(&app->record.deployment) &&
            rejoin_start(&context, on_rejoined, app, &app->rejoin, &error) < 0)
                log_error("%s: %s", app->config->name, error.message);
}

void app_traffic_leave_turn(App *app) {
        const char **turn = app->context.traffic_turn;

        if (string_equal(*turn, app->config->name))
                *turn = NULL;
}

int app_traffic_to_json(const App *app, json_t *status) {
        const char *problem = app->rejoin ? rejoin_problem(app->rejoin) : "";
        _cleanup_free_ char *groups = NULL;
        json_t *traffic;

        if (app->record.deregistered.n == 0)
                return json_object_set_new(status, "out_of_traffic", json_null()) < 0 ? -ENOMEM : 0;
        if (target_registrations_to_text(&app->record.deregistered, &groups) < 0)
                return -ENOMEM;
        traffic = json_pack("{s:s, s:s}", "target_groups", groups, "problem", problem);
        return json_object_set_new(status, "out_of_traffic", traffic) < 0 ? -ENOMEM : 0;
}
