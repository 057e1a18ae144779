#pragma once

/* A register in its depot: read, made, and changed by compare-and-swap. A change is read - list - step - write with the ETag
 * that was read (before the step, where it is due, a look at the target's alarms); a race that is lost is run again after a while that grows with each loss and with the fleet. After a write
 * whose answer was lost the register is read again: what is found there tells whether it arrived, by the nonce or by what the
 * event has to say to it.
 *
 * Asynchronous, as all of ARCHITECTURE.md's operations. */

#include "agent/register_step.h"
#include "artifacts/depot.h"

#define REGISTER_TRIES_MAX 40U /* of one operation, whatever made them necessary */

/* After so many losses in a fleet of that size the next try is made within this time, at random. */
#define REGISTER_BACKOFF_FIRST (UINT64_C(100) * 1000)
#define REGISTER_BACKOFF_MAX (UINT64_C(60) * 1000000)
#define REGISTER_BACKOFF_OF_ONE (UINT64_C(2) * 1000) /* of each instance of the fleet */
uint64_t register_backoff(unsigned losses, uint64_t fleet);

/* Where the register is, and who asks. What it points to must stay while operations run. */
typedef struct RegisterSite {
        Depot *depot;
        const char *app;
        const char *group;
        const char *writer; /* the instance, or what an operator is called, as instances may be */
        const RolloutPlan *plan;
        AwsContext *aws;       /* to ask for alarms before TAKE_IN; NULL: nobody knows of them */
        uint64_t silence;      /* an instance whose report is older is gone: three report intervals */
        unsigned failures_max; /* of those tries, how many may find a depot that does not answer; 0: all */
} RegisterSite;

typedef struct RegisterOp RegisterOp;

/* RESULT is negative with ERROR, or what each function says. */
typedef void (*RegisterDone)(RegisterOp *op, int result, const Error *error, void *userdata);

/* Reads it. 1; 0 if it still has the ETag IF_NONE_MATCH, which may be NULL. -ENOENT: there is none. -EBADMSG: rubbish. */
int register_read_start(const RegisterSite *site, const char *if_none_match, RegisterDone done,
                        void *userdata, RegisterOp **ret, Error *error);

/* Makes it, with the fleet that there is. 1; -EEXIST if there is one. */
int register_create_start(const RegisterSite *site, RegisterDone done, void *userdata, RegisterOp **ret,
                          Error *error);

/* Has EVENT happen. 1: it was written; 0: there is nothing to write, or what was asked for is so already after an answer
 * that was lost. -ENOENT, -EBADMSG, and the refusals of register_step(). -EBUSY after REGISTER_TRIES_MAX. */
int register_change_start(const RegisterSite *site, const RegisterEvent *event, RegisterDone done,
                          void *userdata, RegisterOp **ret, Error *error);

/* Cancels what runs. Returns NULL. */
RegisterOp *register_op_free(RegisterOp *op);
DEFINE_CLEANUP(RegisterOp *, register_op_free)

/* As it was last read or written, or NULL; its ETag; the depot's time at that; all of the operation. */
const Register *register_op_register(const RegisterOp *op);
const char *register_op_etag(const RegisterOp *op);
uint64_t register_op_time(const RegisterOp *op);

/* What it took. */
typedef struct RegisterTally {
        unsigned requests;
        unsigned conflicts; /* races lost */
        unsigned unclear;   /* answers lost */
} RegisterTally;
const RegisterTally *register_op_tally(const RegisterOp *op);
