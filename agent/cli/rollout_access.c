#include "agent/cli/rollout_access.h"

void rollout_access_deinit(RolloutAccess *access) {
        depot_access_deinit(&access->depot);
        trust_root_free(access->root);
        target_free(access->target);
}

int rollout_access_look(RolloutAccess *access, const Cli *cli, Error *error) {
        Target *target;
        int r;

        r = documents_get_target(&access->depot, access->root, clock_realtime(cli->clock),
                                 access->values->app, access->values->group, &target, error);
        if (r < 0)
                return r;
        target_free(access->target);
        access->target = target;
        rollout_plan_make(target, &access->plan);
        access->site = register_access_site(&access->depot, &access->plan, access->name);
        return 0;
}

int rollout_access_open(RolloutAccess *access, const Cli *cli, const RolloutValues *values, Error *error) {
        int r;

        *access = (RolloutAccess){ .values = values };
        r = register_access_name(values->by, access->name, error);
        if (r >= 0)
                r = trust_root_read(values->root, &access->root, error);
        if (r >= 0)
                r = depot_access_open(&values->depot, &access->depot, error);
        return r < 0 ? r : rollout_access_look(access, cli, error);
}

int rollout_access_check_staged(const RolloutAccess *access, Error *error) {
        if (access->plan.staged)
                return 0;
        return error_set_fault(error, -ENOENT, FAULT_INPUT, "%s in %s: there is no rollout, %s is stable%s",
                               access->target->app, access->target->group, access->target->stable.version,
                               access->target->pinned ? " and pinned" : "");
}
