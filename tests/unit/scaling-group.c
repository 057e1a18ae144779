#include <string.h>

#include "tests/unit/scaling-group.h"
#include "tests/unit/test.h"

#define REFUSAL(code, message)                                                                               \
        "<ErrorResponse><Error><Type>Sender</Type><Code>" code "</Code><Message>" message                    \
        "</Message></Error></ErrorResponse>"

/* Of a form's body. */
static const char *parameter(const char *form, const char *name, char ret[static 64]) {
        const char *p = strstr(form, name);
        size_t n;

        ret[0] = '\0';
        if (!p)
                return ret;
        p += strlen(name) + 1;
        n = strcspn(p, "&");
        assert_true(n < 64);
        memcpy(ret, p, n);
        ret[n] = '\0';
        return ret;
}

static void note(TestGroup *group, const char *form, const char *action) {
        char hook[64], result[64];

        assert_true(strlen(group->asked) < sizeof(group->asked) - 160);
        if (strcmp(action, "DescribeAutoScalingInstances") == 0)
                strcat(group->asked, "describe\n");
        else if (strcmp(action, "DescribeLifecycleHooks") == 0)
                strcat(group->asked, "hooks\n");
        else if (strcmp(action, "RecordLifecycleActionHeartbeat") == 0)
                sprintf(strchr(group->asked, '\0'), "heartbeat %s\n",
                        parameter(form, "LifecycleHookName", hook));
        else
                sprintf(strchr(group->asked, '\0'), "complete %s %s\n",
                        parameter(form, "LifecycleHookName", hook),
                        parameter(form, "LifecycleActionResult", result));
}

static void describe(TestGroup *group, TestReply *reply) {
        char text[1024] = "<R><DescribeAutoScalingInstancesResult><AutoScalingInstances/>"
                          "</DescribeAutoScalingInstancesResult></R>";

        if (group->state_failures > 0) {
                group->state_failures--;
                test_reply(reply, 403, "", REFUSAL("AccessDenied", "You may not."));
                return;
        }
        if (group->state)
                sprintf(text,
                        "<R><DescribeAutoScalingInstancesResult><AutoScalingInstances><member>"
                        "<InstanceId>i-1</InstanceId><AutoScalingGroupName>g</AutoScalingGroupName>"
                        "<LifecycleState>%s</LifecycleState></member></AutoScalingInstances>"
                        "</DescribeAutoScalingInstancesResult></R>",
                        group->state);
        test_reply(reply, 200, "", text);
}

/* Behind what stands in TEXT. */
static void add_hook(char *text, const char *name, const char *transition) {
        sprintf(strchr(text, '\0'),
                "<member><LifecycleHookName>%s</LifecycleHookName>"
                "<LifecycleTransition>autoscaling:EC2_INSTANCE_%s</LifecycleTransition>"
                "<HeartbeatTimeout>3</HeartbeatTimeout></member>",
                name, transition);
}

static void list_hooks(TestGroup *group, TestReply *reply) {
        char text[2048] = "<R><DescribeLifecycleHooksResult><LifecycleHooks>";

        if (group->hook_failures > 0) {
                group->hook_failures--;
                test_reply(reply, 403, "", REFUSAL("AccessDenied", "You may not."));
                return;
        }
        add_hook(text, "theirs", "TERMINATING");
        if (group->hook)
                add_hook(text, group->hook, "TERMINATING");
        if (group->launch_hook)
                add_hook(text, group->launch_hook, "LAUNCHING");
        strcat(text, "</LifecycleHooks></DescribeLifecycleHooksResult></R>");
        test_reply(reply, 200, "", text);
}

static void accept_action(const char *action, TestReply *reply) {
        char text[128];

        sprintf(text, "<%sResponse/>", action);
        test_reply(reply, 200, "", text);
}

static void handle(const TestRequest *request, TestReply *reply, void *userdata) {
        TestGroup *group = userdata;
        char *form = strndup(request->body, request->body_size), action[64];
        char outcome = group->outcomes[0];

        note(group, form, parameter(form, "Action", action));
        free(form);
        if (strcmp(action, "DescribeAutoScalingInstances") == 0) {
                describe(group, reply);
                return;
        }
        if (strcmp(action, "DescribeLifecycleHooks") == 0) {
                list_hooks(group, reply);
                return;
        }
        if (group->outcomes[1])
                group->outcomes++;
        if (outcome == '+')
                accept_action(action, reply);
        else if (outcome == 'p')
                test_reply(reply, 200, "", "<html><body>Please log in.</body></html>");
        else if (outcome == '0')
                test_reply(
                        reply, 400, "",
                        REFUSAL("ValidationError", "No active Lifecycle Action found with instance ID i-1"));
        else
                test_reply(reply, 403, "", REFUSAL("AccessDenied", "You may not."));
}

TestGroup *test_group_new(void) {
        const AwsOptions options = { .region = "eu-central-1" };
        TestGroup *group = calloc(1, sizeof(*group));

        assert_non_null(group);
        group->outcomes = "+";
        test_client_init(&group->client, &options, handle, group);
        return group;
}

TestGroup *test_group_free(TestGroup *group) {
        test_client_deinit(&group->client);
        free(group);
        return NULL;
}
