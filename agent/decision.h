#pragma once

/* What an app should do next, as a pure function of what is known. A pin of this instance (record->pin) goes over the
 * target. It names the action and why in one sentence, which is also what `muster status` shows; doing it is the engine's
 * business. */

#include "agent/instance_life.h"
#include "agent/record.h"

/* A fault of the host is tried again after this long, doubled each time, at most DECISION_RETRY_MAX. What the agent's own
 * end interrupted before anything was changed is tried again at once, the first time. */
#define DECISION_RETRY_FIRST (10 * UINT64_C(1000000))
#define DECISION_RETRY_MAX (600 * UINT64_C(1000000))

/* The breakers: after so many failures none of these is tried again by itself. As long as nothing was changed, trying again
 * harms nobody and goes on. */
#define DECISION_DISTURBING_MAX 3U /* deployments in a row that changed something, by a fault of the host */
#define DECISION_ROLLBACKS_MAX 6U  /* repeats of a way back that met a fault of the host, or a reboot */
#define DECISION_CHECKS_MAX 3U     /* checks of the good release after a reboot */

#define DECISION_REASON_MAX 1024U

/* The checks of the good release since the instance was restarted, as far as they failed. */
typedef struct FailedChecks {
        unsigned count;
        uint64_t at;
        char reason[ERROR_MESSAGE_MAX];
} FailedChecks;

typedef struct DecisionFacts {
        const Record *record;
        const char *instance;
        LifePosture posture;
        const char *life;  /* why it is not POSTURE_SERVE, one sentence */
        bool target_known; /* a target that was verified and may be acted on */
        uint64_t target_serial;
        const char *target_sha256;
        /* what this instance is to run: the target's stable release, or its candidate; borrowed */
        ReleaseRef wanted;
        bool candidate;         /* it is the candidate */
        const char *held;       /* why it may not go there now: rollout_record.h; NULL: it may */
        ReleaseRef ahead;       /* what is to be in the store for later; borrowed; no version: nothing is */
        bool pinned;            /* the target pins the group to `wanted` */
        const char *env_sha256; /* of the target's environment values */
        const char *rollout;    /* the target's; NULL: it has none, or is a pin */
        const char *no_target;  /* why there is none, when there is none */
        const char *boot_id;
        const FailedChecks *checks; /* NULL: none failed */
        uint64_t now;               /* microseconds since 1970 */
} DecisionFacts;

typedef enum DecisionAction {
        DECISION_WAIT,       /* nothing to do until something changes */
        DECISION_RETRY,      /* nothing to do until retry_at */
        DECISION_DEPLOY,     /* bring up the release */
        DECISION_FINISHED,   /* the release serves */
        DECISION_FAILED,     /* the release failed here and is not tried again */
        DECISION_CHECK,      /* the good release has yet to pass its checks in this boot */
        DECISION_UNHEALTHY,  /* it did not, again and again; they are not run again */
        DECISION_ROLL_BACK,  /* the way back, which failed, is tried once more */
        DECISION_STUCK,      /* the way back has failed, and only a newer target leads out of that */
        DECISION_PREFETCH,   /* bring the release into the store, for later */
        DECISION_PREFETCHED, /* it is there */
        DECISION_DRAIN,      /* stop what runs */
        DECISION_DRAINED,    /* nothing runs, and nothing is begun any more */
        DECISION_ACTIONS,
} DecisionAction;

typedef struct Decision {
        DecisionAction action;
        const ReleaseRef *release; /* DEPLOY, PREFETCH: borrowed, of the facts */
        bool local_pin;            /* it is the one that this instance is pinned to */
        bool env_changed;          /* DEPLOY: the release is the same, its environment is not */
        uint64_t retry_at; /* RETRY, and where something else is tried again then: microseconds since 1970 */
        char reason[DECISION_REASON_MAX];
} Decision;

void decide(const DecisionFacts *facts, Decision *ret);

const char *decision_action_to_string(DecisionAction action);

/* When a release that failed is tried again; USEC_INFINITY: not for this target or rollout. */
uint64_t decision_retry_at(const Failure *failure);

/* Whether this instance's pin, or else the target, asks for something else than what DEPLOYMENT, which is not a local one,
 * is about to bring: asked before it changes anything, before it switches and before it commits. */
bool decision_supersedes(const DecisionFacts *facts, const Deployment *deployment);

/* What of the app runs that leaving, or going into a warm pool, has to stop: the good release, or what a deployment that was
 * cut short has left; NULL: nothing. */
const ReleaseRef *decision_runs(const Record *record);

/* Whether the good release serves as far as is known: it passed its checks in this boot, and no rollback has failed. */
bool decision_is_serving(const Record *record, const char *boot_id);

/* Whether a target of GROUP may take the place of the highest one accepted so far: its serial is higher, it is the same
 * document, or that was another group's. -ESTALE for a lower serial, -EEXIST for the same serial with other content. */
int decision_accept_target(const Record *record, const char *group, uint64_t serial, const char *sha256,
                           Error *error);
