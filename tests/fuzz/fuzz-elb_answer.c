#include <stdlib.h>
#include <string.h>

#include "agent/net/autoscaling_group.h"
#include "agent/net/elb_answer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_refusal(int r, const Error *error) {
        if (r < 0 && (!error->message[0] || strchr(error->message, '\n')))
                abort();
}

static void read_health(const char *text, size_t size) {
        ElbHealth health = {};
        Error error = {};
        int r = elb_health_parse(text, size, &health, &error);

        check_refusal(r, &error);
        for (size_t i = 0; i < health.n; i++)
                if (!health.targets[i].id[0] || !health.targets[i].reason)
                        abort();
        elb_health_deinit(&health);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_(autoscaling_group_freep) AutoScalingGroup *group = NULL;
        const char *text = (const char *) data;
        ElbTargetGroups groups = {};
        Error error = {};

        read_health(text, size);
        check_refusal(elb_target_groups_parse(text, size, &groups, &error), &error);
        for (size_t i = 0; i < groups.n; i++)
                if (!elb_is_target_group_arn(groups.groups[i].arn))
                        abort();
        elb_target_groups_deinit(&groups);
        check_refusal(autoscaling_group_parse(text, size, &group, &error), &error);
        if (group && group->healthy > group->in_service)
                abort();
        return 0;
}
