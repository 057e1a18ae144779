#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "agent/net/autoscaling_group.h"
#include "agent/net/elb_answer.h"

#define HEALTH(members)                                                                                      \
        "<DescribeTargetHealthResponse xmlns=\"http://elasticloadbalancing.amazonaws.com/doc/2015-12-01/\">" \
        "<DescribeTargetHealthResult><TargetHealthDescriptions>" members                                     \
        "</TargetHealthDescriptions></DescribeTargetHealthResult></DescribeTargetHealthResponse>"
#define TARGET(id, port, health)                                                                             \
        "<member><Target><Id>" id "</Id>" port "</Target><TargetHealth>" health "</TargetHealth></member>"
#define ARN "arn:aws:elasticloadbalancing:eu-central-1:123456789012:targetgroup/api/0123456789abcdef"

static int parse(const char *text, ElbHealth *ret, Error *error) {
        return elb_health_parse(text, strlen(text), ret, error);
}

static void test_health(_unused_ void **state) {
        ElbHealth health;

        assert_int_equal(parse(HEALTH(TARGET("i-1", "<Port>8080</Port>",
                                             "<State>unhealthy</State><Reason>Target.Timeout</Reason>"
                                             "<Description>Request timed out</Description>")
                                              TARGET("arn:aws:lambda:f", "", "<State>levitating</State>")),
                               &health, NULL),
                         0);
        assert_int_equal(health.n, 2);
        assert_string_equal(health.targets[0].id, "i-1");
        assert_int_equal(health.targets[0].port, 8080);
        assert_int_equal(health.targets[0].state, ELB_TARGET_UNHEALTHY);
        assert_string_equal(health.targets[0].reason, "Target.Timeout");
        assert_string_equal(health.targets[0].description, "Request timed out");
        assert_int_equal(health.targets[1].port, 0);
        assert_int_equal(health.targets[1].state, ELB_TARGET_UNKNOWN);
        assert_string_equal(health.targets[1].state_text, "levitating");
        assert_string_equal(health.targets[1].reason, "");
        elb_health_deinit(&health);
        assert_int_equal(parse(HEALTH(""), &health, NULL), 0);
        assert_int_equal(health.n, 0);
        elb_health_deinit(&health);
}

static void test_bad_health(_unused_ void **state) {
        static const char *const bad[] = {
                "",
                "<a",
                HEALTH("<member/>"),
                HEALTH(TARGET("", "<Port>1</Port>", "<State>healthy</State>")),
                HEALTH(TARGET("i-1", "<Port>1</Port>", "")),
                HEALTH(TARGET("i-1", "<Port>65536</Port>", "<State>healthy</State>")),
                HEALTH(TARGET("i-1", "<Port>http</Port>", "<State>healthy</State>")),
        };

        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                ElbHealth health = {};
                Error error = {};

                assert_int_equal(parse(bad[i], &health, &error), -EBADMSG);
                assert_true(error.message[0]);
                assert_null(health.xml);
        }
}

static void test_states(_unused_ void **state) {
        assert_int_equal(elb_target_state_from_string("unhealthy.draining"), ELB_TARGET_UNHEALTHY_DRAINING);
        assert_int_equal(elb_target_state_from_string("draining"), ELB_TARGET_DRAINING);
        assert_int_equal(elb_target_state_from_string("Healthy"), ELB_TARGET_UNKNOWN);
        assert_int_equal(elb_target_state_from_string(""), ELB_TARGET_UNKNOWN);
}

static void test_target_groups(_unused_ void **state) {
        static const char text[] =
                "<R><DescribeTargetGroupsResult><TargetGroups><member><TargetGroupName>api</TargetGroupName>"
                "<TargetGroupArn>" ARN
                "</TargetGroupArn></member></TargetGroups></DescribeTargetGroupsResult></R>";
        static const char bad[] =
                "<R><DescribeTargetGroupsResult><TargetGroups><member><TargetGroupName>api</TargetGroupName>"
                "<TargetGroupArn>api</TargetGroupArn></member></TargetGroups></DescribeTargetGroupsResult></R>";
        ElbTargetGroups groups;

        assert_int_equal(elb_target_groups_parse(text, strlen(text), &groups, NULL), 0);
        assert_int_equal(groups.n, 1);
        assert_string_equal(groups.groups[0].name, "api");
        assert_string_equal(groups.groups[0].arn, ARN);
        elb_target_groups_deinit(&groups);
        assert_int_equal(elb_target_groups_parse(bad, strlen(bad), &groups, NULL), -EBADMSG);
}

static void test_names(_unused_ void **state) {
        _cleanup_free_ char *name = NULL, *other = NULL;

        assert_true(elb_is_target_group_arn(ARN));
        assert_true(elb_is_target_group_arn(
                "arn:aws-cn:elasticloadbalancing:cn-north-1:123456789012:targetgroup/a/1"));
        assert_false(elb_is_target_group_arn("api"));
        assert_false(elb_is_target_group_arn("arn:aws:elasticloadbalancing:r:1:targetgroup/"));
        assert_false(elb_is_target_group_arn("arn:aws:elasticloadbalancing:r:1:loadbalancer/app/x/1"));
        assert_int_equal(elb_target_group_name(ARN, &name), 0);
        assert_string_equal(name, "api");
        assert_int_equal(elb_target_group_name("api", &other), 0);
        assert_string_equal(other, "api");
}

#define GROUP(members)                                                                                       \
        "<R><DescribeAutoScalingGroupsResult><AutoScalingGroups>" members                                    \
        "</AutoScalingGroups></DescribeAutoScalingGroupsResult></R>"
#define INSTANCE(id, state, health)                                                                          \
        "<member><InstanceId>" id "</InstanceId><LifecycleState>" state                                      \
        "</LifecycleState><HealthStatus>" health "</HealthStatus></member>"

static void test_scaling_group(_unused_ void **state) {
        static const char text[] = GROUP(
                "<member><AutoScalingGroupName>prod</AutoScalingGroupName><DesiredCapacity>4</DesiredCapacity>"
                "<TargetGroupARNs><member>" ARN
                "</member></TargetGroupARNs><Instances>" INSTANCE("i-1", "InService", "Healthy")
                        INSTANCE("i-2", "InService", "Unhealthy")
                                INSTANCE("i-3", "Pending:Wait", "Healthy") "</Instances></member>");
        static const char none[] = GROUP(""), bad[] = GROUP("<member/>");
        AutoScalingGroup *group;
        Error error = {};

        assert_int_equal(autoscaling_group_parse(text, strlen(text), &group, NULL), 0);
        assert_string_equal(group->name, "prod");
        assert_string_equal(group->target_groups[0], ARN);
        assert_null(group->target_groups[1]);
        assert_int_equal(group->desired, 4);
        assert_int_equal(group->instances, 3);
        assert_int_equal(group->in_service, 2);
        assert_int_equal(group->healthy, 1);
        assert_string_equal(group->serving[0], "i-1");
        assert_string_equal(group->serving[1], "i-2");
        assert_null(group->serving[2]);
        autoscaling_group_free(group);
        assert_int_equal(autoscaling_group_parse(none, strlen(none), &group, NULL), 0);
        assert_null(group);
        assert_int_equal(autoscaling_group_parse(bad, strlen(bad), &group, &error), -EBADMSG);
        assert_true(error.message[0]);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_health), cmocka_unit_test(test_bad_health),
                cmocka_unit_test(test_states), cmocka_unit_test(test_target_groups),
                cmocka_unit_test(test_names),  cmocka_unit_test(test_scaling_group),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
