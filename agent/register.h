#pragma once

/* The register of a rollout (ARCHITECTURE.md, "Rollouts"): all that the fleet shares of it, one small object that is
 * changed by compare-and-swap alone. This is the value and its text; what may become of it is register_step.h.
 *
 * It is not signed: whoever can write it can stall or abort a rollout, never run what was not signed, and never go faster.
 * Members that are not known are left out when it is written again. Times are the depot's, whole seconds, in microseconds
 * since 1970. */

#include "artifacts/document.h"
#include "artifacts/target.h"

#define REGISTER_SIZE_MAX (2U * 1024 * 1024)
#define REGISTER_PLACES_MAX 4096U
#define REGISTER_NONCE_MAX 64U
#define REGISTER_REV_MAX (UINT64_C(1) << 53)

typedef enum RegisterState {
        REGISTER_ACTIVE,
        REGISTER_PAUSED,   /* no place for the new release is given, no stage ends */
        REGISTER_ABORTED,  /* all go back; for ever */
        REGISTER_COMPLETE, /* all stages have ended; who comes late follows */
} RegisterState;

/* What the last writer who looked has found of the alarms that the target names. */
typedef enum RegisterAlarms {
        REGISTER_ALARMS_NOT_SEEN,
        REGISTER_ALARMS_QUIET,
        REGISTER_ALARMS_UNKNOWN, /* of one at least there is no data, or nobody answers: no stage ends */
        REGISTER_ALARMS_RING,    /* one at least */
} RegisterAlarms;

typedef enum RegisterMove {
        REGISTER_UP,   /* to the new release */
        REGISTER_DOWN, /* back from it */
} RegisterMove;

/* The right to change. */
typedef struct RegisterPlace {
        char *instance;
        uint64_t attempt;
        RegisterMove move;
        uint64_t until; /* its holder does not switch and does not commit from then on */
        bool late; /* that and the margin have passed: it holds up nobody's change, and still counts for the stage */
} RegisterPlace;

typedef struct Register {
        char *id;
        uint64_t rev;         /* raised by every write */
        char *nonce;          /* of the last write, which no other has */
        char *writer;         /* who made it */
        uint64_t written;     /* when */
        char *release_sha256; /* the release that it is about */
        RegisterState state;
        char *reason;    /* why it is paused or aborted, or NULL */
        char *by;        /* who paused, resumed, promoted or aborted it last, or NULL */
        uint64_t stage;  /* 0 is the first */
        uint64_t opened; /* when the stage was */
        uint64_t fleet;  /* how many instances there were then */
        uint64_t full;   /* since when all of the stage are healthy; 0: they are not */
        bool promoted;   /* by hand: the stage may end */
        bool touched;    /* resumed or promoted since agents took in: what follows from that is due */

        RegisterAlarms alarms;
        uint64_t alarms_seen; /* when; 0: they were not */
        char *alarms_reason;  /* why they are not quiet, or NULL */

        /* As the last writer counted them, for views. */
        uint64_t live, members, running, failures;

        SCHEMA_LIST(RegisterPlace) places; /* in the order in which they were given */
} Register;

/* -EBADMSG for anything that is no register, -ENOMEM. */
int register_parse(const void *data, size_t size, Register **ret, Error *error);

/* The canonical text. New memory. -EBADMSG if register_parse() would refuse it, -ENOMEM. */
int register_to_json(const Register *reg, char **ret, size_t *ret_size, Error *error);

Register *register_free(Register *reg);
DEFINE_CLEANUP(Register *, register_free)
#define _cleanup_register_ _cleanup_(register_freep)

/* INSTANCE's place, or NULL. */
RegisterPlace *register_find_place(const Register *reg, const char *instance);

/* Adds a place at the end. -ENOMEM; -E2BIG at REGISTER_PLACES_MAX. */
int register_add_place(Register *reg, const char *instance, uint64_t attempt, RegisterMove move,
                       uint64_t until);

/* Removes the place at INDEX; those after it move up. */
void register_remove_place(Register *reg, size_t index);

const char *register_state_to_string(RegisterState state);
const char *register_alarms_to_string(RegisterAlarms state);
