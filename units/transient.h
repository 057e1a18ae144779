#pragma once

/* A program as a transient systemd service: started, watched to its end, judged.
 *
 * Every unit made here has RemainAfterExit=yes. systemd forgets a transient unit within a second of its successful
 * end and then answers "success" for the unit it does not know; a unit that remains keeps its result until it is
 * stopped, also while the bus or musterd is restarted. So whoever started one must have it stopped
 * (transient_stop.h) once the result is recorded. Processes that the program leaves behind live until then,
 * unless it failed: then systemd ends them at once.
 *
 * Freeing a running Transient does not end the program: after a restart, transient_adopt() takes it up again by
 * name. transient_kill() ends it. */

#include <stdbool.h>

#include "units/manager.h"
#include "units/property.h"
#include "units/unit_state.h"

typedef struct Transient Transient;

typedef enum TransientType {
        TRANSIENT_ONESHOT, /* the unit is active once the program has ended */
        TRANSIENT_EXEC, /* the unit is active once the program is executed: "could not start" is then certain */
} TransientType;

typedef struct TransientSpec {
        const char *name; /* "….service" */
        const char *description;
        TransientType type;
        char *const *argv;        /* argv[0] is an absolute path */
        char *const *environment; /* "NAME=value"; every user of the machine can read it: no secrets */
        const char *
                environment_file; /* NULL, or a file of such lines for PID 1 to read: for secrets, mode 0600 */
        const char *user, *group;      /* NULL: root */
        const char *working_directory; /* NULL: / */
        /* Descriptors, duplicated. 0 or less: none, which is /dev/null for input and the journal for output. The
         * manager keeps its copies of them until the unit is stopped, so the end of a pipe is never seen before. */
        int stdin_fd, stdout_fd, stderr_fd;
        uint64_t timeout_usec;      /* SIGTERM to all its processes after that; 0 or USEC_INFINITY: never */
        uint64_t stop_timeout_usec; /* SIGKILL so long after SIGTERM; 0: TRANSIENT_STOP_TIMEOUT_USEC */
        const char *kill_mode;      /* NULL: "control-group" */
        bool adopt;                 /* a unit of that name that is there is taken up instead of refused */
        const UnitProperty *properties; /* at most UNIT_PROPERTIES_MAX */
        size_t n_properties;
} TransientSpec;

#define TRANSIENT_STOP_TIMEOUT_USEC (5 * UINT64_C(1000000))

typedef enum TransientOutcome {
        TRANSIENT_SUCCESS,         /* exit status 0 */
        TRANSIENT_EXIT,            /* another one: `status` */
        TRANSIENT_SIGNAL,          /* killed by signal `status` */
        TRANSIENT_TIMEOUT,         /* ended by its time-out */
        TRANSIENT_OUT_OF_MEMORY,   /* the kernel killed (one of) its processes for lack of memory */
        TRANSIENT_COULD_NOT_START, /* refused by systemd, or it could not execute the program */
        TRANSIENT_STOPPED,         /* ended by somebody else (systemctl stop) or by transient_kill() */
        TRANSIENT_VANISHED,        /* systemd does not know the unit (any more): how it ended is not known */
} TransientOutcome;

typedef struct TransientResult {
        TransientOutcome outcome;
        int status;
        sd_id128_t invocation;
        uint64_t started_usec; /* CLOCK_MONOTONIC; 0: never */
} TransientResult;

/* RESULT is 0 whenever the outcome is known, success or not; ERROR then has a sentence unless it is a success, such as
 * "exit status 3" or "timed out after 5m and was ended" (no name in it: the caller prefixes what the program is). Else
 * a negative errno: systemd could not be asked; the host's fault, and the program may still run. The outcome's
 * fault is FAULT_HOST for out of memory and could-not-start, FAULT_UNKNOWN for the rest, which the caller knows. */
typedef void (*TransientDone)(Transient *transient, int result, const Error *error, void *userdata);

int transient_start(Manager *manager, const TransientSpec *spec, TransientDone done, void *userdata,
                    Transient **ret, Error *error);

/* Waits for the end of a unit that was started before, by this process or an earlier one. TIMEOUT_USEC only words the
 * message. TRANSIENT_VANISHED if it is not there. */
int transient_adopt(Manager *manager, const char *name, uint64_t timeout_usec, TransientDone done,
                    void *userdata, Transient **ret, Error *error);

/* From the callback on. */
const TransientResult *transient_result(const Transient *transient);
const char *transient_name(const Transient *transient);

/* Sends SIGNAL to all processes of the unit; the end is reported as usual. A unit that is gone is no error. */
int transient_kill(Transient *transient, int signal, Error *error);

Transient *transient_free(Transient *transient);
DEFINE_CLEANUP(Transient *, transient_free)

const char *transient_outcome_to_string(TransientOutcome outcome);

/* Pure: has a program whose start was accepted ended in this state, and how? */
bool transient_judge(const UnitState *state, TransientResult *ret);

/* Pure: the sentence for RET; STATE may be NULL. Returns the outcome. */
TransientOutcome transient_explain(const TransientResult *result, const UnitState *state,
                                   uint64_t timeout_usec, Error *error);
