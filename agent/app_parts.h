#pragma once

/* Private to the app: app.c decides and has the engine act, app_open.c opens and closes what an app is made of, app_local.c
 * does what root orders by hand, app_traffic.c sees to the load balancer between deployments,
 * app_health.c to the health of what serves, app_rollout.c to what target and rollout ask for,
 * app_place.c looks whether its folders are as it left them. */

#include "agent/app.h"
#include "agent/app_audit.h"
#include "agent/app_clean.h"
#include "agent/base/log.h"
#include "agent/decision.h"
#include "agent/engine.h"
#include "agent/health_watch.h"
#include "agent/hook_logs.h"
#include "agent/recheck.h"
#include "agent/rejoin.h"
#include "agent/report.h"
#include "agent/rollout_health.h"
#include "agent/rollout_watch.h"
#include "agent/target_watch.h"
#include "agent/unpack_stop.h"

struct App {
        AppContext context;
        const AppConfig *config;
        AppChanged changed;
        void *userdata;
        const char *group;
        ReleaseStore *store;
        Record record;
        TargetWatch *watch;
        RolloutWatch *rollout; /* NULL: there is no depot */
        RolloutHealth *rollout_health;
        FailureUpload *rollout_failure;
        unsigned rollout_told; /* the attempt of which the failure was told */
        char **environment;    /* the group's values, of the target in force */
        char env_sha256[DIGEST_HEX_SIZE];
        Engine *engine;
        AppClean *clean;
        AppAudit *audit;
        HookLogs *logs;
        Report *report;
        json_t *report_members; /* what is the instance's, by its key */
        sd_event_source *retry;
        Recheck *recheck;
        Rejoin *rejoin;      /* what a deployment left it out of */
        HealthWatch *health; /* of the release that serves */
        HealthState health_state;
        UnpackStop *stopping; /* what a musterd that is no more was unpacking */
        FailedChecks checks;  /* of the good release, in this boot */
        LifeView life;        /* UNKNOWN until it was told */
        uint64_t began;       /* boot time */
        Decision decision;
        bool misplaced;         /* its folders are not there any more: it is opened anew */
        unsigned misplacements; /* how often, since a deployment succeeded */
        char current_problem
                [DECISION_REASON_MAX]; /* why `current`, which somebody changed, cannot be put back */
};

/* Opens what the app is made of and takes up a deployment that was interrupted; what cannot be opened is tried again. */
void app_open(App *app);
void app_close(App *app);

/* Its state has been read; until then it has none of its parts. */
bool app_is_open(const App *app);
int app_not_open(const App *app, Error *error);

LogFields app_fields(const App *app);
EngineContext app_engine_context(App *app);

/* Decides anew and acts on it, unless a deployment runs. */
void app_evaluate(App *app);
void app_retry_at(App *app, uint64_t at);

/* Whether its folder, or one in it, was removed or replaced. Nothing can be recorded then, and it is opened anew. */
bool app_is_misplaced(App *app);

/* Where somebody has changed what `current` names, it is put back: what serves goes on, but its next start would be that of
 * something else. A good release that is not there any more is down, so that it is deployed anew. */
void app_keep_current(App *app);

/* Reports how the app stands; app_tell() tells the agent, too. */
void app_report(App *app);
void app_tell(App *app);

/* The record had its end, but musterd was killed, or the disk was full, before its history did: it has it now. */
void app_keep_history(App *app);

/* Before a deployment: whatever else goes on in the store ends. */
void app_make_way(App *app);

/* The target in force, or NULL; and all that decisions go by. */
const Target *app_target(const App *app);
DecisionFacts app_decision_facts(const App *app);

/* A deployment that has not changed anything yet, or is but checked, is given up for another release. WHY, or what speaks
 * against it. */
void app_go_for_another(App *app, const char *why);

/* Why the deployment that runs is not to go on, or NULL; and looks at the depot for that, which ends in engine_looked(). */
const char *app_objects(void *userdata);
void app_begin_look(void *userdata);

void app_on_target(TargetWatch *watch, void *userdata);
void app_on_rollout(RolloutWatch *watch, void *userdata);

/* Does what the rollout of the group asks of this instance, up to what it is to run. */
void app_rollout_settle(App *app);
void app_tell_rollout_failure(App *app);
int app_rollout_open_health(App *app, Error *error);
void app_rollout_deploys(App *app);
int app_rollout_to_json(const App *app, bool report, json_t *status);

void app_on_deployed(Engine *engine, void *userdata);
void app_on_progress(Engine *engine, void *userdata);

EngineTraffic app_engine_traffic(App *app);

/* Back into the target groups that a deployment has left the instance out of, unless one runs that will see to it. */
void app_traffic_settle(App *app);
void app_traffic_leave_turn(App *app);
int app_traffic_to_json(const App *app, json_t *status);

/* Watches the health of what serves, if it is so configured. */
void app_health_settle(App *app);
void app_health_stop(App *app);
int app_health_to_json(const App *app, json_t *status);
