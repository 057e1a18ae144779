#include "agent/app_parts.h"

/* The health of the release that serves, as long as it serves: not while a deployment runs or its checks after a reboot, nor on
 * an instance that waits in standby or is about to go. */

static void on_health(void *userdata) {
        app_tell(userdata);
}

void app_health_settle(App *app) {
        EngineContext context;
        Error error = {};

        if (app->config->health_interval == 0 || app->engine || app->recheck ||
            instance_life_posture(app->life.life) != POSTURE_SERVE ||
            !decision_is_serving(&app->record, app->context.boot_id)) {
                app_health_stop(app);
                return;
        }
        if (app->health)
                return;
        context = app_engine_context(app);
        if (health_watch_new(&context, app->config, &app->health_state, on_health, app, &app->health,
                             &error) < 0)
                log_error("%s: %s", app->config->name, error.message);
}

void app_health_stop(App *app) {
        app->health = health_watch_free(app->health);
        app->health_state.failed = 0;
        app->health_state.unhealthy = false;
}

int app_health_to_json(const App *app, json_t *status) {
        json_t *health = NULL;
        int r = 0;

        if (app->health)
                r = health_watch_to_json(app->health, &health);
        if (r < 0 || json_object_set_new(status, "health_watch", health ? health : json_null()) < 0)
                return -ENOMEM;
        return 0;
}
