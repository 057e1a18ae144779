#pragma once

/* What a register says to who reads it, together with the signed plan: what an instance may do, when something falls due, and
 * what it all waits for. Pure. */

#include "agent/register.h"
#include "agent/rollout_plan.h"

/* S3 cannot fence: so long after its deadline a place is given up. It covers the error of S3's Date (a second), of the
 * boot-time clock meanwhile, and the time from an agent's last look at its deadline to what it then does. */
#define REGISTER_MARGIN (UINT64_C(60) * 1000000)

/* While a rollout goes on its register is written at least that often, although nothing may have changed but the numbers: who
 * was scaled in tells nobody. */
#define REGISTER_REFRESH (UINT64_C(120) * 1000000)

/* The same where the target names alarms: who writes looks at them. */
#define REGISTER_REFRESH_ALARMED (UINT64_C(60) * 1000000)
uint64_t register_refresh(const RolloutPlan *plan);

/* What one writer has found of the alarms is good for all for so long, but not beyond the end of a bake, nor
 * beyond what an operator does. */
#define REGISTER_ALARMS_GOOD (UINT64_C(30) * 1000000)

/* Whether it is the register of this rollout, its release and its stages. -EINVAL. */
int register_check(const Register *reg, const RolloutPlan *plan, Error *error);

/* Whether somebody has something to do still; as long as that is so, the numbers in it are kept up. */
bool register_goes_on(const Register *reg);

/* Whether who writes now is to look at the alarms first; whether they leave the stage that is open to its end; and
 * whether they keep everybody out: one rings, and nobody runs the new release whose fault it could be. */
bool register_wants_alarms(const Register *reg, const RolloutPlan *plan, uint64_t now);
bool register_alarms_let_end(const Register *reg, const RolloutPlan *plan, uint64_t now);
bool register_alarms_keep_out(const Register *reg, const RolloutPlan *plan);

/* The earliest time at which time alone may change something: somebody should take in then. USEC_INFINITY: never. */
uint64_t register_due(const Register *reg, const RolloutPlan *plan);

/* Whether INSTANCE may go on with what it holds a place for: asked before SWITCH (SWITCHING, where a freeze counts too) and
 * before COMMIT of a move up, and before a move down. -EPERM with why not. */
int register_check_holder(const Register *reg, const RolloutPlan *plan, const char *instance,
                          uint64_t attempt, RegisterMove move, bool switching, uint64_t now, Error *error);

/* The same for PLACE, its own, or NULL: it has none. */
int register_check_place(const Register *reg, const RolloutPlan *plan, const RegisterPlace *place,
                         uint64_t attempt, RegisterMove move, bool switching, uint64_t now, Error *error);

/* How many instances the stage that is open has at most; UINT64_MAX: all. */
uint64_t register_allowed(const Register *reg, const RolloutPlan *plan);

/* Whether a newcomer, with nothing to go back to, brings up the new release at once. REG may be NULL: there is none, or none
 * that can be read. */
bool register_takes_newcomers(const Register *reg, const RolloutPlan *plan, uint64_t now);

/* One sentence: what the rollout waits for. */
#define REGISTER_SENTENCE_MAX 512
void register_describe(const Register *reg, const RolloutPlan *plan, uint64_t now,
                       char ret[static REGISTER_SENTENCE_MAX]);
