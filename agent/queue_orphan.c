#include <string.h>

#include "agent/base/clock.h"
#include "agent/base/strv.h"
#include "agent/queue_orphan.h"

static bool is_recent(const QueueFacts *facts, uint64_t time) {
        return time > 0 && usec_add(time, facts->margin) > facts->now;
}

QueueOwnerState queue_owner_state(const QueueFacts *facts) {
        if (facts->in_group && facts->in_state != INSTANCE_TERMINATED &&
            facts->in_state != INSTANCE_WARMED_TERMINATED)
                return QUEUE_OWNER_IN_GROUP;
        if (is_recent(facts, facts->reported))
                return QUEUE_OWNER_REPORTS;
        return is_recent(facts, facts->created) ? QUEUE_OWNER_NEW : QUEUE_OWNER_GONE;
}

const char *queue_owner_state_to_string(QueueOwnerState state) {
        static const char *const texts[] = {
                [QUEUE_OWNER_IN_GROUP] = "in its group",
                [QUEUE_OWNER_REPORTS] = "reports",
                [QUEUE_OWNER_NEW] = "new",
                [QUEUE_OWNER_GONE] = "gone",
        };

        return texts[state];
}

bool is_ec2_instance_id(const char *instance) {
        size_t n = strlen(instance);

        return string_starts_with(instance, "i-") && n > 2 && n <= 32 &&
               strspn(instance + 2, "0123456789abcdef") == n - 2;
}
