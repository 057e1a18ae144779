#pragma once

/* The deploy engine: brings one app from the release that runs to another, or back. deployment.h says which step comes
 * next; the engine does it, with one function for each step, and records it durably before and after. It alone
 * sequences the stages: each of them returns a value and knows nothing of the others. */

#include <systemd/sd-event.h>

#include "agent/app_audit.h"
#include "agent/base/clock.h"
#include "agent/config.h"
#include "agent/launch_pace.h"
#include "agent/record.h"
#include "artifacts/depot.h"
#include "artifacts/store.h"
#include "artifacts/trust_root.h"
#include "units/manager.h"

typedef struct Engine Engine;

/* The target, and the register of a rollout, are read once more before anything is changed, before SWITCH and before
 * COMMIT, for at most ENGINE_LOOK_MAX: a depot that does not answer holds no deployment up. If it asks for another release by
 * then, or the rollout has no place for this instance any more, the deployment ends, or goes back: what is committed is never
 * anything but what the target in force asks for. */
#define ENGINE_LOOK_MAX (3 * UINT64_C(1000000))
#define ENGINE_SUPERSEDED "the target asks for another release now"
typedef struct EngineLook {
        void (*begin)(void *userdata);          /* engine_looked() is called once it is done */
        const char *(*objects)(void *userdata); /* NULL, or why it is not to go on, as far as is known now */
        const char *(*leaves)(void *userdata);  /* NULL, or why this instance is to change nothing more */
        void *userdata;
} EngineLook;

/* What a deployment that takes the instance out of its load balancer needs. One app of an instance is out at a time: *TURN
 * is its name, and it is the app's to set it back to NULL once it is in again. */
typedef struct EngineTraffic {
        AwsContext *aws;           /* NULL: there is no load balancer */
        const char *scaling_group; /* NULL: not known, or none */
        const char **turn;
        /* 1; 0: an instance that is about to go, or waits in standby, is not put back; -EAGAIN: nobody has said yet, or just
         * now, what it is. NULL: it may. */
        int (*may_join)(void *userdata);
        void *userdata;
} EngineTraffic;

/* What outlives every deployment of an app; all of it borrowed. */
typedef struct EngineContext {
        sd_event *event;
        const Clock *clock;
        const Config *config;
        Depot *depot;          /* NULL: nothing but local deployments */
        const TrustRoot *root; /* NULL: likewise */
        Manager *manager;
        ReleaseStore *store;
        Record *record;
        const char *app;
        const char *group;
        const char *instance;
        const char *boot_id;
        const AppAudit *audit; /* what is known of the releases in the store; NULL: nothing */
        EngineTraffic traffic;
        EngineLook look; /* zero: there is nowhere to look */
} EngineContext;

/* What is to be deployed, and how; copied. */
typedef struct EngineOrder {
        DeploymentKind kind;
        ReleaseRef release;     /* borrowed; DRAIN: what is stopped */
        uint64_t serial;        /* of the target; 0: local */
        const char *rollout;    /* of the target; NULL: none */
        const char *facts;      /* what was decided on (decision_json.h); NULL: nothing was */
        uint64_t release_floor; /* releases created before do not run; microseconds since 1970 */
        bool env_changed;
        char *const *environment; /* the group's values, "NAME=value", sorted */
        const char *env_sha256;   /* of those */
        /* A local deployment: the release's JSON, unsigned, and its archive, duplicated. */
        const char *release_json; /* NULL: the release comes from the depot */
        int archive_fd;
} EngineOrder;

/* The deployment has ended; the record holds its outcome. May free the engine. */
typedef void (*EngineDone)(Engine *engine, void *userdata);

/* A step has begun or made progress. */
typedef void (*EngineChanged)(Engine *engine, void *userdata);

/* Writes a new deployment into the record and begins it. */
int engine_start(const EngineContext *context, const EngineOrder *order, EngineDone done,
                 EngineChanged changed, void *userdata, Engine **ret, Error *error);

/* Takes up the deployment that the record says is running. */
int engine_resume(const EngineContext *context, EngineDone done, EngineChanged changed, void *userdata,
                  Engine **ret, Error *error);

/* Tries the way back of a deployment whose rollback has failed once more. */
int engine_retry_rollback(const EngineContext *context, EngineDone done, EngineChanged changed,
                          void *userdata, Engine **ret, Error *error);

/* The target was read. Nothing happens unless the deployment waits for that. */
void engine_looked(Engine *engine);

/* Gives the deployment up: at once where it has changed nothing yet, by the way back while its health checks run. -EBUSY in
 * between, where it goes on to the next look at the target. DONE is called. */
int engine_cancel(Engine *engine, const char *reason);

/* Ends the deployment where it stands, without going back: there is no time for that. -EBUSY while it commits, which takes a
 * moment. DONE is called. */
int engine_cut(Engine *engine, const char *reason);

/* The instance is not to get requests any more: what waits for the load balancer to send some goes on without them. */
void engine_stay_out(Engine *engine);

/* Gives the step of a drain that runs up, unless it is the last one: the next one is begun. */
void engine_skip(Engine *engine, const char *reason);

/* What holds it up, "" while nothing does: an outcome that cannot be written is written once it can be. */
const char *engine_problem(const Engine *engine);

/* Of the FETCH step, 0 to 100; -1 where there is nothing to tell. */
int engine_percent(const Engine *engine);

/* How far the deployment has come; what it points to lives as long as the record's deployment. */
LaunchWork engine_work(const Engine *engine);

/* Stops driving; what runs goes on by itself (hooks, units) and is found again by engine_resume(). Returns NULL. */
Engine *engine_free(Engine *engine);
DEFINE_CLEANUP(Engine *, engine_free)
