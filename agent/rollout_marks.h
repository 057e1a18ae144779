#pragma once

/* What single instances have to say of a rollout: create-once marks beside its register,
 *
 *   rollouts/<id>/<kind>-<attempt>/<instance>.json
 *
 * of which the names alone count, so that one LIST tells of all of them; and which instances there are, by the LIST of their
 * reports. A mark is never changed or removed while its rollout goes on, so whoever lists later knows at least as much.
 * Pure. */

#include "artifacts/depot.h"
#include "artifacts/layout.h"

/* An instance tries a release again after a fault of the host; what is beyond this attempt is no mark. */
#define MARK_ATTEMPTS_MAX 99U

typedef enum MarkKind {
        MARK_UP,     /* asks for a place for the new release */
        MARK_GOOD,   /* runs it, committed, healthy for the time that is wanted */
        MARK_FAILED, /* is back from it: the release's fault */
        MARK_VOID,   /* is back from it, or never went: nobody's fault, or the host's */
        MARK_OUT,    /* does not take part: it is pinned, or leaving */
        MARK_SICK,   /* was good, and is no longer: the release's fault */
        MARK_DOWN,   /* asks for a place for the way back */
        MARK_BACK,   /* is back */
        MARK_KINDS,
} MarkKind;

/* "up"; "none" for MARK_KINDS. */
const char *mark_to_string(MarkKind kind);
int mark_from_string(const char *text, MarkKind *ret);

#define MARK_FOLDER_MAX 16

/* "up-1": the folder of a mark, as layout_mark() wants its kind. ATTEMPT is 1 to MARK_ATTEMPTS_MAX. */
void mark_folder(MarkKind kind, unsigned attempt, char ret[static MARK_FOLDER_MAX]);
int mark_folder_parse(const char *text, MarkKind *ret_kind, unsigned *ret_attempt);

/* One instance, as far as it is known. */
typedef struct InstanceMarks {
        char *instance;
        bool live;        /* its report is young enough */
        bool failed;      /* by the release's fault, in any attempt */
        unsigned attempt; /* the latest; 0: it has said nothing */
        unsigned kinds;   /* of that attempt: a bit (1 << MarkKind) each */
} InstanceMarks;

typedef struct RolloutMarks {
        InstanceMarks *items; /* sorted by instance, each once, after rollout_marks_settle() */
        size_t n;
        size_t allocated;
} RolloutMarks;

void rollout_marks_deinit(RolloutMarks *marks);
#define _cleanup_rollout_marks_ _cleanup_(rollout_marks_deinit)

/* Adds a mark, or that INSTANCE is live. -ENOMEM. */
int rollout_marks_add(RolloutMarks *marks, const char *instance, MarkKind kind, unsigned attempt);
int rollout_marks_add_live(RolloutMarks *marks, const char *instance);

/* Adds what a list of PREFIX ("apps/api/groups/prod/rollouts/r-1/") tells; keys that are no marks are left alone. -ENOMEM. */
int rollout_marks_add_list(RolloutMarks *marks, const char *prefix, const DepotEntry *entries, size_t n);

/* Adds the instances whose reports, listed at PREFIX (".../instances/"), were written at SINCE or later. -ENOMEM. */
int rollout_marks_add_reports(RolloutMarks *marks, const char *prefix, const DepotEntry *entries, size_t n,
                              uint64_t since);

/* Sorts, and makes one item of all that is known of an instance. Before anything is asked. */
void rollout_marks_settle(RolloutMarks *marks);

/* NULL where nothing is known of INSTANCE. */
const InstanceMarks *rollout_marks_find(const RolloutMarks *marks, const char *instance);

/* Whether it runs the new release, committed; whether it counts for its stage. */
bool marks_run(const InstanceMarks *marks);
bool marks_are_healthy(const InstanceMarks *marks);

/* Whether it asks for a place. */
bool marks_want_up(const InstanceMarks *marks);
bool marks_want_down(const InstanceMarks *marks);

/* Whether the change for which a place of ATTEMPT was given has ended. */
bool marks_have_ended(const InstanceMarks *marks, unsigned attempt, bool down);

/* Whether a stage waits for it, or could: it has not failed, and takes part. */
bool marks_are_needed(const InstanceMarks *marks);
