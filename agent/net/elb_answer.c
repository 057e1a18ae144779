#include <string.h>

#include "agent/base/parse.h"
#include "agent/base/strv.h"
#include "agent/net/elb_answer.h"

#define TARGET_GROUP_MARK ":targetgroup/"

static const struct {
        const char *text;
        ElbTargetState state;
} states[] = {
        { "initial", ELB_TARGET_INITIAL },         { "healthy", ELB_TARGET_HEALTHY },
        { "unhealthy", ELB_TARGET_UNHEALTHY },     { "unhealthy.draining", ELB_TARGET_UNHEALTHY_DRAINING },
        { "unused", ELB_TARGET_UNUSED },           { "draining", ELB_TARGET_DRAINING },
        { "unavailable", ELB_TARGET_UNAVAILABLE },
};

ElbTargetState elb_target_state_from_string(const char *text) {
        for (size_t i = 0; i < ELEMENTSOF(states); i++)
                if (string_equal(text, states[i].text))
                        return states[i].state;
        return ELB_TARGET_UNKNOWN;
}

static const char *text_or_empty(const XmlElement *element, const char *path) {
        const char *text = xml_text(element, path);

        return text ? text : "";
}

static int parse_port(const char *text, uint16_t *ret) {
        uint64_t port;

        if (!text || !*text) {
                *ret = 0;
                return 0;
        }
        if (parse_u64(text, &port) < 0 || port > UINT16_MAX)
                return -EBADMSG;
        *ret = (uint16_t) port;
        return 0;
}

static int parse_target(const XmlElement *member, ElbTargetHealth *ret, Error *error) {
        ElbTargetHealth target = {
                .id = xml_text(member, "Target/Id"),
                .state_text = xml_text(member, "TargetHealth/State"),
                .reason = text_or_empty(member, "TargetHealth/Reason"),
                .description = text_or_empty(member, "TargetHealth/Description"),
        };

        if (!target.id || !*target.id || !target.state_text ||
            parse_port(xml_text(member, "Target/Port"), &target.port) < 0)
                return error_set_fault(error, -EBADMSG, FAULT_HOST,
                                       "a target without Id, State or a proper Port");
        target.state = elb_target_state_from_string(target.state_text);
        *ret = target;
        return 0;
}

int elb_health_parse(const char *text, size_t size, ElbHealth *ret, Error *error) {
        ElbHealth health = {};
        const XmlElement *member;
        void *array;
        int r;

        r = xml_parse_list(text, size, "DescribeTargetHealthResult/TargetHealthDescriptions/member",
                           sizeof(ElbTargetHealth), &health.xml, &array, &member, error);
        if (r < 0)
                return r;
        health.targets = array;
        for (; member && r >= 0; member = xml_next(member))
                r = parse_target(member, &health.targets[health.n++], error);
        if (r < 0)
                elb_health_deinit(&health);
        else
                *ret = health;
        return r;
}

void elb_health_deinit(ElbHealth *health) {
        xml_free(health->xml);
        free(health->targets);
        *health = (ElbHealth){};
}

int elb_target_groups_parse(const char *text, size_t size, ElbTargetGroups *ret, Error *error) {
        ElbTargetGroups groups = {};
        const XmlElement *member;
        void *array;
        int r;

        r = xml_parse_list(text, size, "DescribeTargetGroupsResult/TargetGroups/member",
                           sizeof(ElbTargetGroup), &groups.xml, &array, &member, error);
        if (r < 0)
                return r;
        groups.groups = array;
        for (; member && r >= 0; member = xml_next(member)) {
                ElbTargetGroup group = { .name = xml_text(member, "TargetGroupName"),
                                         .arn = xml_text(member, "TargetGroupArn") };

                if (!group.name || !group.arn || !elb_is_target_group_arn(group.arn))
                        r = error_set_fault(error, -EBADMSG, FAULT_HOST,
                                            "a target group without name or proper ARN");
                else
                        groups.groups[groups.n++] = group;
        }
        if (r < 0)
                elb_target_groups_deinit(&groups);
        else
                *ret = groups;
        return r;
}

void elb_target_groups_deinit(ElbTargetGroups *groups) {
        xml_free(groups->xml);
        free(groups->groups);
        *groups = (ElbTargetGroups){};
}

bool elb_is_target_group_arn(const char *text) {
        const char *mark = strstr(text, TARGET_GROUP_MARK);

        return string_starts_with(text, "arn:") && strstr(text, ":elasticloadbalancing:") && mark &&
               mark[strlen(TARGET_GROUP_MARK)];
}

int elb_target_group_name(const char *arn, char **ret) {
        const char *mark = strstr(arn, TARGET_GROUP_MARK);
        const char *name = mark ? mark + strlen(TARGET_GROUP_MARK) : arn;

        *ret = strndup(name, mark ? strcspn(name, "/") : strlen(name));
        return *ret ? 0 : -ENOMEM;
}
