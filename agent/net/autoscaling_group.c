#include <strings.h>

#include "agent/base/parse.h"
#include "agent/base/strv.h"
#include "agent/net/autoscaling_group.h"
#include "agent/net/xml.h"

AutoScalingGroup *autoscaling_group_free(AutoScalingGroup *group) {
        if (!group)
                return NULL;
        free(group->name);
        strv_free(group->target_groups);
        strv_free(group->serving);
        free(group);
        return NULL;
}

static int take_target_groups(const XmlElement *member, AutoScalingGroup *group, Error *error) {
        const XmlElement *arn = xml_find(member, "TargetGroupARNs/member");
        size_t n = 0;

        for (; arn; arn = xml_next(arn)) {
                if (++n > AUTOSCALING_TARGET_GROUPS_MAX)
                        return error_set_fault(error, -E2BIG, FAULT_HOST, "more than %u target groups",
                                               AUTOSCALING_TARGET_GROUPS_MAX);
                if (strv_append(&group->target_groups, arn->text) < 0)
                        return error_oom(error);
        }
        return 0;
}

static int count_instances(const XmlElement *member, AutoScalingGroup *group, Error *error) {
        const XmlElement *instance = xml_find(member, "Instances/member");

        for (; instance; instance = xml_next(instance)) {
                const char *health = xml_text(instance, "HealthStatus"),
                           *id = xml_text(instance, "InstanceId");
                bool serves = string_equal(xml_text(instance, "LifecycleState"), "InService");

                group->instances++;
                group->in_service += serves;
                group->healthy += serves && health && strcasecmp(health, "Healthy") == 0;
                if (serves && id && strv_append(&group->serving, id) < 0)
                        return error_oom(error);
        }
        return 0;
}

static int parse_group(const XmlElement *member, AutoScalingGroup *group, Error *error) {
        const char *name = xml_text(member, "AutoScalingGroupName"),
                   *desired = xml_text(member, "DesiredCapacity");
        uint64_t number;
        int r;

        if (!name || !*name || !desired || parse_u64(desired, &number) < 0 || number > UINT32_MAX)
                return error_set_fault(error, -EBADMSG, FAULT_HOST,
                                       "a group without AutoScalingGroupName or a proper DesiredCapacity");
        group->desired = (unsigned) number;
        if (string_set(&group->name, name) < 0)
                return error_oom(error);
        r = count_instances(member, group, error);
        return r < 0 ? r : take_target_groups(member, group, error);
}

int autoscaling_group_parse(const char *text, size_t size, AutoScalingGroup **ret, Error *error) {
        _cleanup_(autoscaling_group_freep) AutoScalingGroup *group = NULL;
        const XmlElement *member;
        XmlElement *xml;
        int r;

        r = xml_parse(text, size, &xml, error);
        if (r < 0)
                return r;
        member = xml_find(xml, "DescribeAutoScalingGroupsResult/AutoScalingGroups/member");
        if (member) {
                group = calloc(1, sizeof(*group));
                r = group ? parse_group(member, group, error) : error_oom(error);
        }
        xml_free(xml);
        if (r >= 0)
                *ret = TAKE_PTR(group);
        return r;
}
