#include "agent/cli/target_register.h"
#include "artifacts/layout.h"

static bool is_untouched(RegisterOp *op, const RolloutPlan *plan) {
        const Register *reg = register_op_register(op);

        return register_check(reg, plan, NULL) >= 0 && reg->rev == 1 && reg->state == REGISTER_ACTIVE &&
               register_op_time(op) <= usec_add(reg->opened, TARGET_REGISTER_REUSE_MAX);
}

/* Marks outlive their register where somebody removes that alone: they would count for the new one. */
static int has_marks(const DepotAccess *access, const Target *target, const RolloutPlan *plan, Error *error) {
        _cleanup_depot_reply_ DepotReply reply = {};
        char prefix[LAYOUT_KEY_MAX];
        int r;

        r = layout_rollout_marks(target->app, target->group, plan->id, prefix, error);
        if (r >= 0)
                r = depot_access_list(access, prefix, &reply, error);
        return r < 0 ? r : reply.n_entries > 0;
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
        if (r >= 0)
                r = has_marks(access, target, &plan, error);
        if (r != 0)
                return r < 0 ? r : 0;
        site = register_access_site(access, &plan, name);
        r = register_access_create(&site, NULL, error);
        if (r == -EEXIST)
                r = register_access_read(&site, &op, error);
        if (r == -EBADMSG)
                return 0;
        return r < 0 ? r : !op || is_untouched(op, &plan);
}
