#pragma once

/* How far the rollout is that the present target of a TargetChange has: what may be signed over it. */

#include "agent/cli/target_change.h"

/* Whether another release may be said: there is no rollout, or it was aborted, or its register is lost; for a candidate, which
 * STARTS another rollout, all must be back, too. -EEXIST with a sentence that says what to do first. */
int target_rollout_check_over(const TargetChange *change, bool starts, Error *error);

/* Whether the candidate may be signed as stable. -ENOENT: there is no rollout; -ESTALE: not complete. */
int target_rollout_check_complete(const TargetChange *change, Error *error);
