#pragma once

/* What an app should do next, as a pure function of what is known. A pin of this instance (record->pin) goes over the
 * target. It names the action and why in one sentence, which
 * is also what `muster status` shows; doing it is the engine's business. */

#include "agent/record.h"

/* A fault of the host is tried again after this long, doubled each time, at most DECISION_RETRY_MAX. */
#define DECISION_RETRY_FIRST (10 * UINT64_C(1000000))
#define DECISION_RETRY_MAX (600 * UINT64_C(1000000))
#define DECISION_REASON_MAX 1024U

typedef struct DecisionFacts {
        const Record *record;
        const char *instance;
        bool target_known; /* a target that was verified and may be acted on */
        uint64_t target_serial;
        const char *target_sha256;
        ReleaseRef stable;      /* borrowed */
        bool pinned;            /* the target pins the group to it */
        const char *env_sha256; /* of the target's environment values */
        const char *no_target;  /* why there is none, when there is none */
        uint64_t now;           /* microseconds since 1970 */
} DecisionFacts;

typedef enum DecisionAction {
        DECISION_WAIT,     /* nothing to do until something changes */
        DECISION_RETRY,    /* nothing to do until retry_at */
        DECISION_DEPLOY,   /* bring up the release */
        DECISION_FINISHED, /* the release serves */
        DECISION_FAILED,   /* the release failed here and is not tried again */
} DecisionAction;

typedef struct Decision {
        DecisionAction action;
        bool local_pin; /* the release is the one that this instance is pinned to, else the target's stable one */
        bool env_changed;  /* DEPLOY: the release is the same, its environment is not */
        uint64_t retry_at; /* RETRY: microseconds since 1970 */
        char reason[DECISION_REASON_MAX];
} Decision;

void decide(const DecisionFacts *facts, Decision *ret);

/* Whether a target may take the place of the highest one accepted so far: its serial is higher, or it is the same
 * document. -ESTALE for a lower serial, -EEXIST for the same serial with other content. */
int decision_accept_target(const Record *record, uint64_t serial, const char *sha256, Error *error);
