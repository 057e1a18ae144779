#include <string.h>

#include "agent/base/buffer.h"
#include "agent/base/strv.h"
#include "agent/lifecycle_hooks.h"

void lifecycle_hooks_deinit(LifecycleHooks *hooks) {
        for (size_t i = 0; i < hooks->n; i++)
                free(hooks->items[i].name);
        *hooks = (LifecycleHooks){};
}

int lifecycle_hooks_add(LifecycleHooks *hooks, const char *name) {
        LifecycleHook *hook = &hooks->items[hooks->n];

        if (hooks->n == LIFECYCLE_HOOKS_MAX)
                return -E2BIG;
        *hook = (LifecycleHook){ .name = strdup(name), .default_result = AUTOSCALING_ABANDON };
        if (!hook->name)
                return -ENOMEM;
        hooks->n++;
        return 0;
}

static bool is_auto(const char *configured) {
        return !configured || strcmp(configured, LIFECYCLE_HOOK_AUTO) == 0;
}

static bool is_chosen(const AutoScalingHook *hook, const char *configured) {
        if (!is_auto(configured))
                return strcmp(hook->name, configured) == 0;
        return strcmp(hook->name, LIFECYCLE_HOOK_OURS) == 0 ||
               string_starts_with(hook->name, LIFECYCLE_HOOK_OURS "-");
}

static bool is_of(const AutoScalingHook *hook, LifecycleTransition transition) {
        return hook->is_launch == (transition == LIFECYCLE_LAUNCHING);
}

static int add(LifecycleHooks *hooks, const AutoScalingHook *hook) {
        int r = lifecycle_hooks_add(hooks, hook->name);

        if (r < 0)
                return r;
        hooks->items[hooks->n - 1].heartbeat_timeout = hook->heartbeat_timeout;
        hooks->items[hooks->n - 1].global_timeout = hook->global_timeout;
        hooks->items[hooks->n - 1].default_result = hook->default_result;
        return 0;
}

static const char *kind_of(LifecycleTransition transition) {
        return transition == LIFECYCLE_LAUNCHING ? "launch" : "termination";
}

static void remark_on_none(const AutoScalingHook *all, size_t n, LifecycleTransition transition,
                           const char *configured, Error *remark) {
        const char *kind = kind_of(transition);
        _cleanup_buffer_ Buffer names = {};

        for (size_t i = 0; i < n; i++)
                if (is_of(&all[i], transition))
                        (void) buffer_printf(&names, "%s%s", names.size > 0 ? ", " : "", all[i].name);
        if (!is_auto(configured))
                (void) error_set_fault(remark, -ENOENT, FAULT_INPUT, "the group has no %s hook %s, only: %s",
                                       kind, configured, names.size > 0 ? buffer_string(&names) : "none");
        else if (names.size > 0)
                (void) error_set_fault(remark, -ENOENT, FAULT_INPUT,
                                       "none of the group's %s hooks is named " LIFECYCLE_HOOK_OURS
                                       " or " LIFECYCLE_HOOK_OURS "-…, so they are left to others: %s",
                                       kind, buffer_string(&names));
        else
                (void) error_set_fault(remark, -ENOENT, FAULT_INPUT, "the group has no %s hook", kind);
}

int lifecycle_hooks_choose(const AutoScalingHook *all, size_t n, LifecycleTransition transition,
                           const char *configured, LifecycleHooks *ret, Error *remark) {
        _cleanup_lifecycle_hooks_ LifecycleHooks hooks = {};
        int r = 0;

        if (string_equal(configured, LIFECYCLE_HOOK_NONE))
                n = 0;
        for (size_t i = 0; i < n && r >= 0; i++)
                if (is_of(&all[i], transition) && is_chosen(&all[i], configured))
                        r = add(&hooks, &all[i]);
        if (r == -E2BIG)
                return error_set_fault(remark, r, FAULT_INPUT, "the group has more than %u %s hooks of ours",
                                       LIFECYCLE_HOOKS_MAX, kind_of(transition));
        if (r < 0)
                return error_oom(remark);
        if (hooks.n == 0)
                remark_on_none(all, n, transition, configured, remark);
        *ret = hooks;
        hooks = (LifecycleHooks){};
        return 0;
}

uint64_t lifecycle_hooks_heartbeat_timeout(const LifecycleHooks *hooks) {
        uint64_t shortest = 0;

        for (size_t i = 0; i < hooks->n; i++) {
                uint64_t timeout = hooks->items[i].heartbeat_timeout;

                if (timeout > 0 && (shortest == 0 || timeout < shortest))
                        shortest = timeout;
        }
        return shortest;
}

const LifecycleHook *lifecycle_hooks_first_to_end(const LifecycleHooks *hooks) {
        const LifecycleHook *first = NULL;

        for (size_t i = 0; i < hooks->n; i++)
                if (hooks->items[i].global_timeout > 0 &&
                    (!first || hooks->items[i].global_timeout < first->global_timeout))
                        first = &hooks->items[i];
        return first;
}
