#include "agent/app_life.h"
#include "agent/app_parts.h"

/* What becomes of an app with what its instance is to the group. */

const char *app_leaves(void *userdata) {
        const App *app = userdata;
        LifePosture posture = instance_life_posture(app->life.life);

        return posture == POSTURE_LEAVE || posture == POSTURE_PREPARE ? app->life.reason : NULL;
}

/* A deployment that has changed nothing yet is of no use to an instance that does not serve, and nobody waits for it
 * to be found healthy; in between it ends at its next look, or comes to its checks. A drain of an instance that stays
 * after all leaves the app to be brought up again. */
static bool is_in_vain(const App *app) {
        const Deployment *deployment = &app->record.deployment;
        bool idle = !deployment_has_changed_anything(deployment) || deployment_only_waits(deployment);

        switch (instance_life_posture(app->life.life)) {
        case POSTURE_LEAVE:
                return deployment->kind != KIND_DRAIN && idle;
        case POSTURE_PREPARE:
                return deployment->kind == KIND_DEPLOY && idle;
        case POSTURE_SERVE:
                return deployment->kind == KIND_DRAIN;
        default:
                return false;
        }
}

void app_heed_life(App *app) {
        const char *why = app->life.reason;

        if (app->engine && is_in_vain(app))
                (void) engine_cut(app->engine, *why ? why : "this instance stays after all");
        else if (app->engine && !instance_life_has_traffic(app->life.life))
                engine_stay_out(app->engine);
}

void app_look_at_life(App *app) {
        if (app->context.life)
                (void) life_watch_is_recent(app->context.life, 0);
}

void app_set_life(App *app, const LifeView *view) {
        app->life = *view;
        if (!app_is_open(app))
                return;
        app_heed_life(app);
        app_evaluate(app);
}

void app_cut(App *app, const char *why) {
        if (app->engine && app->record.deployment.kind == KIND_DEPLOY)
                (void) engine_cut(app->engine, why);
        else if (app->engine)
                engine_skip(app->engine, why);
}

bool app_is_drained(const App *app) {
        LifePosture posture = instance_life_posture(app->life.life);

        if (!app_is_open(app)) /* what cannot be opened is left alone, and holds nobody up */
                return *app->decision.reason;
        return !app->engine && !app->stopping && !(app->rollout && rollout_watch_is_parting(app->rollout)) &&
               !decision_runs(&app->record) && (posture == POSTURE_LEAVE || posture == POSTURE_PREPARE);
}

bool app_has_served(const App *app) {
        return app->record.good.version;
}
