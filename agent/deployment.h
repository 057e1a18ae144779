#pragma once

/* A deployment: one attempt to bring one app from the release that runs to another, or only a part of that, as a
 * value. The order of its steps and what follows success, failure or a restart of the agent is deployment_apply(), a
 * pure function of a deployment and an event, so that it can be tested exhaustively and replayed from a record.
 * Nothing here does anything. */

#include <stdbool.h>
#include <stddef.h>

#include "agent/base/error.h"
#include "agent/net/digest.h"

typedef enum DeploymentKind {
        KIND_DEPLOY,
        KIND_PREFETCH, /* VERIFY and FETCH: the release is in the store, for when it is wanted */
        KIND_DRAIN, /* what runs is stopped, and stays installed; each of its steps is tried, whatever the others say */
        KIND_ADOPT, /* what another deployer has installed here counts as this release; nothing of it is touched */
        KIND_COUNT,
} DeploymentKind;

typedef enum Step {
        STEP_VERIFY,
        STEP_FETCH,
        STEP_BEFORE_BLOCK_TRAFFIC, /* the steps of traffic are only of a deployment with `traffic` */
        STEP_BLOCK_TRAFFIC,        /* the instance leaves its target groups */
        STEP_AFTER_BLOCK_TRAFFIC,
        STEP_APPLICATION_STOP,
        STEP_BEFORE_INSTALL,
        STEP_SWITCH,
        STEP_AFTER_INSTALL,
        STEP_UNITS,
        STEP_APPLICATION_START,
        STEP_VALIDATE_SERVICE,
        STEP_HEALTH,
        STEP_BEFORE_ALLOW_TRAFFIC,
        STEP_ALLOW_TRAFFIC, /* it joins them again */
        STEP_AFTER_ALLOW_TRAFFIC,
        STEP_COMMIT,
        STEP_ROLLBACK_BLOCK_TRAFFIC, /* if it may have joined them by then */
        STEP_ROLLBACK_STOP,          /* ApplicationStop of the release that failed */
        STEP_ROLLBACK_SWITCH, /* the good release's tree and unit files back; none: units stopped, current removed */
        STEP_ROLLBACK_UNITS,
        STEP_ROLLBACK_START, /* ApplicationStart of the good release */
        STEP_ROLLBACK_HEALTH,
        STEP_ROLLBACK_ALLOW_TRAFFIC,
        STEP_STOP_UNITS, /* of KIND_DRAIN */
        STEP_ADOPT,      /* of KIND_ADOPT: current and the list of installed files, while the app runs on */
        STEP_END,
        STEP_COUNT,
} Step;

typedef enum Outcome {
        OUTCOME_RUNNING,
        OUTCOME_SUCCEEDED,
        OUTCOME_FAILED, /* nothing was changed, or there was nothing to go back to: then the app has no release */
        OUTCOME_ROLLED_BACK, /* the good release serves again */
        OUTCOME_ROLLBACK_FAILED,
} Outcome;

typedef enum StepResult {
        STEP_RESULT_RUNNING,
        STEP_RESULT_SUCCEEDED,
        STEP_RESULT_FAILED,
        STEP_RESULT_TOLERATED,   /* failed, and the deployment goes on */
        STEP_RESULT_INTERRUPTED, /* the agent ended while it ran */
} StepResult;

/* A release as the record names it. No release: version is NULL. */
typedef struct ReleaseRef {
        char *version;
        char sha256[DIGEST_HEX_SIZE];
} ReleaseRef;

#define DEPLOYMENT_STEPS_MAX 64U   /* of one deployment, repeats after restarts included */
#define DEPLOYMENT_EVENTS_MAX 256U /* likewise; of more, the first ones are kept */
#define STEP_RESUMES_MAX 3U        /* a step that the agent's end interrupted that often counts as failed */
#define ROLLBACK_REBOOTS_MAX 3U    /* a way back that reboots interrupted more often has failed */
#define STEP_TAIL_MAX 4096U        /* bytes of a hook's output that are kept */

typedef struct StepLog {
        Step step;
        StepResult result;
        unsigned attempt; /* 1 at first */
        uint64_t started; /* microseconds since 1970, as all times here */
        uint64_t finished;
        char *reason; /* NULL while nothing went wrong */
        char *tail;   /* the last lines of a hook's output, or NULL */
} StepLog;

typedef enum DeploymentEventKind {
        DEPLOYMENT_STEP_STARTED,
        DEPLOYMENT_HOOK_SUCCEEDED, /* one of several of the running step; it is not run again */
        DEPLOYMENT_STEP_SUCCEEDED,
        DEPLOYMENT_STEP_FAILED,
        DEPLOYMENT_CANCELLED, /* the target asks for something else now */
        DEPLOYMENT_CUT,       /* there is no time to go on, nor to go back: it ends as it is */
        DEPLOYMENT_RESUMED,   /* the agent starts and finds it running */
        DEPLOYMENT_FOUND,     /* what runs was not asked for: it is there, uncommitted, and goes back */
        DEPLOYMENT_ROLLBACK_RETRIED, /* after a rollback that failed: once more */
        DEPLOYMENT_EVENT_KINDS,
} DeploymentEventKind;

/* An event that was taken in, and what came of it: so that it can be replayed. */
typedef struct EventLog {
        DeploymentEventKind kind;
        uint64_t at;
        char *boot_id; /* NULL: that of the event before */
        char *reason;
        ErrorFault fault;
        Step then; /* the step of the deployment after it */
} EventLog;

typedef struct Deployment {
        char *id; /* NULL: there is none */
        DeploymentKind kind;
        ReleaseRef to;     /* DRAIN: the one that is stopped, as in `from` */
        ReleaseRef from;   /* none: a first deployment */
        uint64_t serial;   /* of the target that asked for it; 0: a local one */
        uint64_t accepted; /* the highest serial that was accepted when it began */
        char *rollout;     /* of that target; NULL: it had none */
        char *facts;       /* what it was decided on, as JSON (decision_json.h); NULL: nothing was decided */
        bool local;
        bool traffic; /* the release asks for the instance to be out of its load balancer; known with VERIFY */
        bool env_changed;   /* the same release, other environment: units are restarted, not reloaded */
        char **environment; /* the group's values, "NAME=value", sorted */
        char env_sha256[DIGEST_HEX_SIZE]; /* of those */
        char *boot_id;                    /* of the boot in which the last step was begun */
        uint64_t started;
        uint64_t finished;
        Outcome outcome;
        Step step;           /* the step that runs, or is the next to run */
        bool step_started;   /* it was begun, and has not ended */
        unsigned attempt;    /* of that step */
        unsigned hooks_done; /* of that step: so many, from the first one on, are not run again */
        Step failed_step;    /* valid with reason */
        char *reason;        /* why it failed, NULL while nothing did */
        ErrorFault fault;
        bool cancelled;   /* it ended, or goes back, because the target asks for something else */
        bool interrupted; /* it ended because the agent did, before anything was changed */
        bool unchanged; /* it goes back, or went, but only into the load balancer: nothing of the app was changed */
        bool cut;       /* it ended in the middle, and nothing was put right */
        unsigned reboots;   /* that interrupted it */
        unsigned rollbacks; /* how often the way back was tried again after it had failed */
        Step rollback_step; /* valid with rollback_reason: where and why the way back failed */
        char *rollback_reason;
        ErrorFault rollback_fault;
        StepLog steps[DEPLOYMENT_STEPS_MAX];
        size_t n_steps;
        EventLog events[DEPLOYMENT_EVENTS_MAX];
        size_t n_events;
        bool events_lost; /* there were more */
} Deployment;

typedef struct DeploymentEvent {
        DeploymentEventKind kind;
        uint64_t at;         /* microseconds since 1970 */
        const char *boot_id; /* STARTED, RESUMED, RETRIED */
        const char *reason;  /* FAILED, CANCELLED, CUT */
        const char *tail;    /* SUCCEEDED, FAILED; may be NULL; no decision depends on it */
        ErrorFault fault;    /* FAILED, CANCELLED, CUT */
} DeploymentEvent;

void deployment_deinit(Deployment *deployment);
void release_ref_deinit(ReleaseRef *ref);

/* TO becomes a copy of FROM; -ENOMEM leaves it as it was. */
int release_ref_copy(ReleaseRef *to, const ReleaseRef *from);
bool release_ref_equal(const ReleaseRef *a, const ReleaseRef *b);

/* Takes the event in, whose strings must not be the deployment's own. -ENOMEM, with the deployment as it was but perhaps
 * without the reason's or tail's text; -EINVAL for an event that the state does not allow (an end of a step that was not
 * begun, anything after the end). */
int deployment_apply(Deployment *deployment, const DeploymentEvent *event);

/* Whether it runs, and whether it has begun to change what serves: ApplicationStop comes first. To leave the load balancer
 * changes nothing of it. */
bool deployment_is_running(const Deployment *deployment);
bool deployment_has_changed_anything(const Deployment *deployment);

/* Whether its step does nothing but wait for what is found of the new release, so that its end leaves nothing half done. */
bool deployment_only_waits(const Deployment *deployment);

/* Whether it was cut while it changed something: what is in force is neither the old release nor the new one. */
bool deployment_left_a_mixture(const Deployment *deployment);
bool step_is_rollback(Step step);

/* Where a deployment of that kind begins. */
Step deployment_first_step(DeploymentKind kind, bool traffic);

/* "deploy" */
const char *deployment_kind_to_string(DeploymentKind kind);
int deployment_kind_from_string(const char *text, DeploymentKind *ret);

/* "FETCH"; the lifecycle event of a hook step ("BeforeInstall"), NULL for others. */
const char *step_to_string(Step step);
int step_from_string(const char *text, Step *ret);
const char *step_lifecycle_event(Step step);
const char *outcome_to_string(Outcome outcome);
int outcome_from_string(const char *text, Outcome *ret);
const char *deployment_event_to_string(DeploymentEventKind kind);
int deployment_event_from_string(const char *text, DeploymentEventKind *ret);
const char *step_result_to_string(StepResult result);
int step_result_from_string(const char *text, StepResult *ret);
