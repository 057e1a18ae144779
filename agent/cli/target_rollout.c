#include "agent/cli/target_rollout.h"
#include "agent/cli/register_access.h"

/* RET is NULL where the register is lost, in one way or another. */
static int read_register(const TargetChange *change, const RolloutPlan *plan, RegisterOp **ret,
                         Error *error) {
        const RegisterSite site = register_access_site(&change->access, plan, NULL);
        int r;

        *ret = NULL;
        r = register_access_read(&site, ret, error);
        if (r == -ENOENT || r == -EBADMSG)
                return 0;
        if (r >= 0 && register_check(register_op_register(*ret), plan, NULL) < 0)
                *ret = register_op_free(*ret);
        return r;
}

static int refuse(int r, const TargetChange *change, const char *what, const char *advice, Error *error) {
        const Target *present = change->present;

        return error_set_fault(error, r, FAULT_INPUT, "%s in %s: rollout %s to %s %s%s%s", present->app,
                               present->group, present->rollout.id, present->candidate.version, what,
                               *advice ? ": " : "", advice);
}

static int refuse_by_state(const TargetChange *change, const Register *reg, bool starts, Error *error) {
        const Target *present = change->present;
        char advice[256];

        if (reg->state == REGISTER_ABORTED) {
                if (reg->running == 0 || !starts)
                        return 0;
                snprintf(advice, sizeof(advice),
                         "muster rollout status --watch shows them; where one cannot go back, muster target "
                         "set --version %s has it try once more",
                         present->stable.version);
                return refuse(-EEXIST, change, "was aborted, and instances are still on their way back",
                              advice, error);
        }
        if (reg->state == REGISTER_COMPLETE) {
                snprintf(advice, sizeof(advice), "muster rollout finish %s %s first", present->app,
                         present->group);
                return refuse(-EEXIST, change, "is complete and not finished", advice, error);
        }
        snprintf(advice, sizeof(advice), "muster rollout abort %s %s first", present->app, present->group);
        return refuse(-EEXIST, change, reg->state == REGISTER_PAUSED ? "is paused" : "is under way", advice,
                      error);
}

int target_rollout_check_over(const TargetChange *change, bool starts, Error *error) {
        _cleanup_(register_op_freep) RegisterOp *op = NULL;
        RolloutPlan plan;
        int r;

        if (!change->present || !change->present->rollout.id)
                return 0;
        rollout_plan_make(change->present, &plan);
        r = read_register(change, &plan, &op, error);
        if (r < 0 || !op)
                return r;
        return refuse_by_state(change, register_op_register(op), starts, error);
}

int target_rollout_check_complete(const TargetChange *change, Error *error) {
        _cleanup_(register_op_freep) RegisterOp *op = NULL;
        const Target *present = change->present;
        char sentence[REGISTER_SENTENCE_MAX];
        RolloutPlan plan;
        int r;

        if (!present->rollout.id)
                return error_set_fault(error, -ENOENT, FAULT_INPUT,
                                       "%s in %s: there is no rollout, %s is the stable release",
                                       present->app, present->group, present->stable.version);
        rollout_plan_make(present, &plan);
        r = read_register(change, &plan, &op, error);
        if (r < 0)
                return r;
        if (!op)
                return refuse(-ENOENT, change, "has no register that can be read",
                              "set the release that is wanted with muster target set", error);
        if (register_op_register(op)->state == REGISTER_COMPLETE)
                return 0;
        register_describe(register_op_register(op), &plan, register_op_time(op), sentence);
        return refuse(-ESTALE, change, "is not complete", sentence, error);
}
