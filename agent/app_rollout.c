#include <string.h>

#include "agent/app_life.h"
#include "agent/app_parts.h"
#include "agent/environment.h"

/* What the target asks of this instance, and where there is a rollout, what that lets it do: both may change at any
 * time, also in the middle of a deployment. */

const Target *app_target(const App *app) {
        return app->watch ? target_watch_target(app->watch) : NULL;
}

static const char *why_no_target(const App *app) {
        return app->watch ? target_watch_problem(app->watch)
                          : "there is no depot to follow, only what root deploys with muster deploy --local";
}

static ReleaseRef ref_of(const TargetRelease *release) {
        ReleaseRef ref = { .version = release->version };

        memcpy(ref.sha256, release->sha256, sizeof(ref.sha256));
        return ref;
}

static void wish(const App *app, const Target *target, DecisionFacts *facts) {
        RolloutWish wish = { .release = &target->stable };

        if (app->rollout)
                (void) rollout_watch_wish(app->rollout, &wish);
        facts->wanted = ref_of(wish.release);
        facts->candidate = wish.candidate;
        if (wish.held)
                facts->held = rollout_watch_reason(app->rollout);
        if (wish.ahead)
                facts->ahead = ref_of(wish.ahead);
}

DecisionFacts app_decision_facts(const App *app) {
        const Target *target = app_target(app);
        DecisionFacts facts = {
                .record = &app->record,
                .instance = app->context.identity->instance,
                .posture = instance_life_posture(app->life.life),
                .life = app->life.reason,
                .target_known = target,
                .env_sha256 = app->env_sha256,
                .no_target = why_no_target(app),
                .boot_id = app->context.boot_id,
                .checks = &app->checks,
                .now = clock_realtime(app->context.clock),
        };

        if (target) {
                facts.target_serial = target->serial;
                facts.target_sha256 = target->sha256;
                facts.pinned = target->pinned;
                facts.rollout = target->pinned ? NULL : target->rollout.id;
                wish(app, target, &facts);
        }
        return facts;
}

/* What root has put here, and what does not serve, takes no part. */
static bool is_absent(const App *app, const Target *target) {
        const Record *record = &app->record;

        return record->pin.release.version || instance_life_posture(app->life.life) != POSTURE_SERVE ||
               (target && record->good_is_local && target->serial <= record->good_serial &&
                record_good_is_up(record));
}

static void on_health(bool good, const char *reason, void *userdata) {
        App *app = userdata;

        rollout_watch_take_health(app->rollout, good, reason);
        app_evaluate(app);
}

int app_rollout_open_health(App *app, Error *error) {
        uint64_t interval = MIN(ROLLOUT_HEALTH_INTERVAL, app->context.config->poll_interval);

        return rollout_health_new(app->context.event, interval, on_health, app, &app->rollout_health, error);
}

static void settle_health(App *app) {
        const EngineContext context = app_engine_context(app);

        if (rollout_watch_wants_health(app->rollout))
                rollout_health_run(app->rollout_health, &context);
        else
                rollout_health_stop(app->rollout_health);
}

static void settle_failure(App *app) {
        const RolloutRecord *part = &app->record.rollout;

        if (!part->id[0] || (part->owes != MARK_FAILED && part->owes != MARK_SICK)) {
                app->rollout_told = 0;
        } else if (app->rollout_told != part->attempt) {
                app->rollout_told = part->attempt;
                app_tell_rollout_failure(app);
        }
}

void app_rollout_settle(App *app) {
        const Target *target = app_target(app);
        const RolloutSituation situation = {
                .target = target,
                .env_sha256 = app->env_sha256,
                .life_known = app->life.life != LIFE_UNKNOWN,
                .absent = is_absent(app, target),
                .leaves = instance_life_posture(app->life.life) == POSTURE_LEAVE,
                .deploying = app->engine && app->record.deployment.kind != KIND_PREFETCH,
        };

        if (target && environment_of_target(target, &app->environment, app->env_sha256) < 0)
                log_error("%s: out of memory", app->config->name);
        if (!app->rollout)
                return;
        rollout_watch_settle(app->rollout, &situation);
        settle_health(app);
        settle_failure(app);
}

void app_rollout_deploys(App *app) {
        const Deployment *deployment = &app->record.deployment;

        if (app->rollout)
                rollout_watch_deploys(app->rollout, &deployment->to, deployment->id);
}

int app_rollout_to_json(const App *app, bool report, json_t *status) {
        json_t *rollout = app->rollout ? rollout_watch_to_json(app->rollout, report) : json_null();

        return rollout && json_object_set_new(status, "rollout", rollout) == 0 ? 0 : -ENOMEM;
}

void app_begin_look(void *userdata) {
        App *app = userdata;

        (void) target_watch_poll(app->watch);
        rollout_watch_look(app->rollout);
}

/* Neither the target nor the rollout has anything to say about what root deploys by hand. */
const char *app_objects(void *userdata) {
        const App *app = userdata;
        const Deployment *deployment = &app->record.deployment;
        const DecisionFacts facts = app_decision_facts(app);

        if (decision_supersedes(&facts, deployment))
                return ENGINE_SUPERSEDED;
        if (!app->rollout || app->record.pin.release.version || deployment->kind != KIND_DEPLOY)
                return NULL;
        return rollout_watch_objects(app->rollout, deployment->step <= STEP_SWITCH);
}

void app_go_for_another(App *app, const char *why) {
        const char *objection;

        if (!app->engine || app->record.deployment.local)
                return;
        objection = app_objects(app);
        if (objection)
                (void) engine_cancel(app->engine, why ? why : objection);
}

/* A deployment that looks goes on once all has been seen. */
static void take_news(App *app) {
        app_rollout_settle(app);
        app_go_for_another(app, NULL);
        if (app->engine && app->watch && !target_watch_is_looking(app->watch) &&
            !rollout_watch_is_looking(app->rollout))
                engine_looked(app->engine);
        app_evaluate(app);
        if (app->engine) /* which app_evaluate() leaves alone */
                app->changed(app, app->userdata);
}

void app_on_target(_unused_ TargetWatch *watch, void *userdata) {
        take_news(userdata);
}

void app_on_rollout(_unused_ RolloutWatch *watch, void *userdata) {
        take_news(userdata);
}

void app_notify_held(const App *app, const char *reason) {
        const Target *target = app_target(app);
        RolloutPlan plan;

        if (!target)
                return;
        rollout_plan_make(target, &plan);
        notify_held(app->context.notify, app->config->name, app->group, &plan, reason,
                    clock_realtime(app->context.clock));
}
