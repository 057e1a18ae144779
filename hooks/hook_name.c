#include <errno.h>
#include <stdio.h>

#include "agent/base/cleanup.h"
#include "hooks/hook_name.h"
#include "units/unit_name.h"

#define NAME_PREFIX "muster-hook-"

int hook_unit_prefix(const char *app, const char *deployment, char **ret) {
        _cleanup_free_ char *escaped_app = NULL, *escaped = NULL;

        if (unit_name_escape(app, &escaped_app) < 0 ||
            (deployment && unit_name_escape(deployment, &escaped) < 0))
                return -ENOMEM;
        if (asprintf(ret, NAME_PREFIX "%s-%s%s", escaped_app, escaped ? escaped : "", escaped ? "-" : "") < 0)
                return -ENOMEM;
        return 0;
}

int hook_unit_name(const char *app, const char *deployment, LifecycleEvent event, unsigned index,
                   unsigned attempt, char **ret) {
        _cleanup_free_ char *prefix = NULL;
        char *name;
        int n;

        if (hook_unit_prefix(app, deployment, &prefix) < 0)
                return -ENOMEM;
        n = asprintf(&name, "%s%s-%u-%u.service", prefix, lifecycle_event_to_string(event), index, attempt);
        if (n < 0)
                return -ENOMEM;
        if ((size_t) n >= UNIT_NAME_MAX) {
                free(name);
                return -ENAMETOOLONG;
        }
        *ret = name;
        return 0;
}

int health_unit_prefix(const char *app, char **ret) {
        _cleanup_free_ char *escaped = NULL;

        if (unit_name_escape(app, &escaped) < 0 || asprintf(ret, "muster-health-%s-", escaped) < 0)
                return -ENOMEM;
        return 0;
}
