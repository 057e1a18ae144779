#include "agent/cli/target_register.h"

static bool is_untouched(RegisterOp *op, const RolloutPlan *plan) {
        const Register *reg = register_op_register(op);

        return register_check(reg, plan, NULL) >= 0 && reg->rev == 1 && reg->state == REGISTER_ACTIVE &&
               register_op_time(op) <= usec_add(reg->opened, TARGET_REGISTER_REUSE_MAX);
}

int target_register_make(const DepotAccess *access, const Target *target, Error *error) {
        _cleanup_(register_op_freep) RegisterOp *op = NULL;
        char name[LAYOUT_INSTANCE_MAX + 1];
        RegisterSite site;
        RolloutPlan plan;
        int r;

        rollout_plan_make(target, &plan);
        if (!rollout_plan_is_shared(&plan))
                return 1;
        r = register_access_name(NULL, name, error);
        if (r < 0)
                return r;
        site = register_access_site(access, &plan, name);
        r = register_access_create(&site, NULL, error);
        if (r == -EEXIST)
                r = register_access_read(&site, &op, error);
        if (r == -EBADMSG)
                return 0;
        return r < 0 ? r : !op || is_untouched(op, &plan);
}
