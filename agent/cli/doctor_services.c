#include <fcntl.h>
#include <string.h>

#include "agent/base/strv.h"
#include "agent/cli/doctor_checks.h"
#include "agent/lifecycle_hooks.h"
#include "agent/net/cloudwatch.h"
#include "agent/net/sns.h"
#include "agent/net/sqs.h"
#include "agent/queue_note.h"

/* Of no lifecycle action and of no message: what is asked for with them is refused for that, or for want of permission. */
#define NO_ACTION_TOKEN "00000000-0000-0000-0000-000000000000"
#define NO_RECEIPT "muster-doctor"
#define NO_ALARM "muster-doctor"

/* The queue */

static void on_sqs(_unused_ SqsRequest *request, int result, const Error *error, void *userdata) {
        doctor_done(userdata, result, error);
}

static void on_sns(_unused_ SnsRequest *request, int result, const Error *error, void *userdata) {
        doctor_done(userdata, result, error);
}

typedef int (*SqsStart)(AwsContext *aws, const char *url, char *const *receipts, SqsDone done, void *userdata,
                        SqsRequest **ret, Error *error);

static int give_back(AwsContext *aws, const char *url, char *const *receipts, SqsDone done, void *userdata,
                     SqsRequest **ret, Error *error) {
        return sqs_hide_start(aws, url, receipts, 0, done, userdata, ret, error);
}

/* No message has such a receipt, which is what SQS says where it may be said. */
static void check_receipt(Doctor *doctor, const char *name, SqsStart start, const char *queue,
                          const char *url) {
        char *receipts[] = { (char *) NO_RECEIPT, NULL };
        _cleanup_(sqs_request_freep) SqsRequest *request = NULL;
        int r;

        r = doctor_wait(doctor, start(doctor->aws, url, receipts, on_sqs, doctor, &request, &doctor->error));
        if (r == -EREMOTEIO || r >= 0)
                doctor_say(doctor->report, DOCTOR_OK, name, NULL, "%s", queue);
        else
                doctor_say(doctor->report, DOCTOR_FAILED, name,
                           r == -EACCES ? "allow it on the queue, in the role's policy and the queue's"
                                        : NULL,
                           "%s", doctor->error.message);
}

static void check_queue_of(Doctor *doctor, const char *queue, const char *url) {
        check_receipt(doctor, "sqs:DeleteMessage", sqs_delete_start, queue, url);
        check_receipt(doctor, "sqs:ChangeMessageVisibility", give_back, queue, url);
        doctor_say(doctor->report, DOCTOR_NOT_TRIED, "sqs:ReceiveMessage", NULL,
                   "what is received counts as received; muster status says how the queue does");
}

static void check_given_queue(Doctor *doctor) {
        static const char advice[] =
                "allow sqs:GetQueueUrl on the queue; without a queue the depot is polled all the same";
        const char *queue = doctor->config->queue;
        _cleanup_(sqs_request_freep) SqsRequest *request = NULL;
        int r;

        if (!sqs_queue_name_is_valid(queue)) { /* a URL */
                check_queue_of(doctor, queue, queue);
                return;
        }
        r = doctor_wait(doctor, sqs_get_queue_url_start(doctor->aws, queue, on_sqs, doctor, &request,
                                                        &doctor->error));
        if (r < 0) {
                doctor_say(doctor->report, DOCTOR_FAILED, "sqs:GetQueueUrl", advice, "%s",
                           doctor->error.message);
                return;
        }
        doctor_say(doctor->report, DOCTOR_OK, "sqs:GetQueueUrl", NULL, "%s", sqs_request_queue_url(request));
        check_queue_of(doctor, queue, sqs_request_queue_url(request));
}

/* What musterd has noted of the queue that it made, if it has made one yet and the caller may read that. */
static void check_made_queue(Doctor *doctor) {
        _cleanup_close_ int state_fd = open(doctor->config->state_dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
        QueueNote note = {};

        if (state_fd >= 0 && queue_note_load(state_fd, doctor->identity.instance, &note, NULL) >= 0 &&
            note.url)
                check_queue_of(doctor, note.name, note.url);
        else
                doctor_say(doctor->report, DOCTOR_NOT_TRIED, "sqs:CreateQueue", NULL,
                           "it would make the queue; muster status says how the queue does");
        queue_note_deinit(&note);
}

static void check_own_queue(Doctor *doctor) {
        const char *topic = doctor->config->queue_topic;
        _cleanup_(sns_request_freep) SnsRequest *request = NULL;
        int r;

        r = doctor_wait(doctor,
                        sns_list_start(doctor->aws, topic, NULL, on_sns, doctor, &request, &doctor->error));
        if (r < 0)
                doctor_say(doctor->report, DOCTOR_FAILED, "sns:ListSubscriptionsByTopic",
                           r == -EACCES ? "allow it, sns:Subscribe and sns:Unsubscribe on the topic" : NULL,
                           "%s", doctor->error.message);
        else
                doctor_say(doctor->report, DOCTOR_OK, "sns:ListSubscriptionsByTopic", NULL, "%s", topic);
        check_made_queue(doctor);
}

void doctor_check_queue(Doctor *doctor) {
        if (!doctor->config->queue)
                doctor_say(doctor->report, DOCTOR_OK, "queue", NULL,
                           "none is configured; the depot is polled");
        else if (config_has_own_queue(doctor->config))
                check_own_queue(doctor);
        else
                check_given_queue(doctor);
}

/* Auto Scaling */

static void on_scaling(_unused_ AutoScalingRequest *request, int result, const Error *error, void *userdata) {
        doctor_done(userdata, result, error);
}

typedef int (*ActionStart)(AwsContext *aws, const AutoScalingAction *action, AutoScalingDone done,
                           void *userdata, AutoScalingRequest **ret, Error *error);

static int complete(AwsContext *aws, const AutoScalingAction *action, AutoScalingDone done, void *userdata,
                    AutoScalingRequest **ret, Error *error) {
        return autoscaling_complete_start(aws, action, AUTOSCALING_CONTINUE, done, userdata, ret, error);
}

static void check_action(Doctor *doctor, const char *name, ActionStart start,
                         const AutoScalingAction *action) {
        _cleanup_(autoscaling_request_freep) AutoScalingRequest *request = NULL;
        int r;

        r = doctor_wait(doctor, start(doctor->aws, action, on_scaling, doctor, &request, &doctor->error));
        if (r == AUTOSCALING_NO_ACTION)
                doctor_say(doctor->report, DOCTOR_OK, name, NULL,
                           "of hook %s; asked of an action that there is not", action->hook);
        else if (r == -EACCES)
                doctor_say(doctor->report, DOCTOR_FAILED, name, "allow it on the Auto Scaling group", "%s",
                           doctor->error.message);
        else
                doctor_say(doctor->report, DOCTOR_WARNING, name, NULL, "%s",
                           r < 0 ? doctor->error.message : "an action that there is not was accepted");
}

static void check_hook(Doctor *doctor, const char *group, const LifecycleHook *hook) {
        const AutoScalingAction action = { group, hook->name, doctor->identity.instance, NO_ACTION_TOKEN };

        doctor_say(doctor->report, DOCTOR_OK, "launch hook", NULL, "%s of %s: time-out %llu s, then %s",
                   hook->name, group, (unsigned long long) (hook->heartbeat_timeout / USEC_PER_SEC),
                   hook->default_result == AUTOSCALING_ABANDON ? "ABANDON" : "CONTINUE");
        check_action(doctor, "RecordLifecycleActionHeartbeat", autoscaling_heartbeat_start, &action);
        check_action(doctor, "CompleteLifecycleAction", complete, &action);
}

static bool is_named(const char *hook) {
        return !string_equal(hook, LIFECYCLE_HOOK_AUTO) && !string_equal(hook, LIFECYCLE_HOOK_NONE);
}

static void check_hooks(Doctor *doctor, const char *group) {
        _cleanup_(autoscaling_request_freep) AutoScalingRequest *request = NULL;
        const char *configured = doctor->config->launch_hook;
        _cleanup_lifecycle_hooks_ LifecycleHooks hooks = {};
        const AutoScalingHook *all;
        Error remark = {};
        size_t n = 0;
        int r;

        r = doctor_wait(doctor, autoscaling_describe_hooks_start(doctor->aws, group, on_scaling, doctor,
                                                                 &request, &doctor->error));
        if (r < 0) {
                doctor_say(doctor->report, DOCTOR_FAILED, "DescribeLifecycleHooks",
                           r == -EACCES ? "allow autoscaling:DescribeLifecycleHooks on *" : NULL, "%s",
                           doctor->error.message);
                return;
        }
        doctor_say(doctor->report, DOCTOR_OK, "DescribeLifecycleHooks", NULL, "of %s", group);
        all = autoscaling_request_hooks(request, &n);
        r = lifecycle_hooks_choose(all, n, LIFECYCLE_LAUNCHING, configured, &hooks, &remark);
        for (size_t i = 0; r >= 0 && i < hooks.n; i++)
                check_hook(doctor, group, &hooks.items[i]);
        if (r < 0 || hooks.n == 0)
                doctor_say(doctor->report, is_named(configured) || r < 0 ? DOCTOR_FAILED : DOCTOR_OK,
                           "launch hook",
                           is_named(configured) ? "aws autoscaling put-lifecycle-hook makes it" : NULL, "%s",
                           remark.message[0] ? remark.message : "none: instances are not held at launch");
}

static bool replaces(const Config *config) {
        for (size_t i = 0; i < config->n_apps; i++)
                if (config->apps[i].on_unhealthy == ON_UNHEALTHY_REPLACE)
                        return true;
        return false;
}

/* What on_unhealthy = replace needs. */
static void check_replacement(Doctor *doctor, const char *group) {
        _cleanup_(autoscaling_request_freep) AutoScalingRequest *request = NULL;
        int r;

        r = doctor_wait(doctor, autoscaling_describe_group_start(doctor->aws, group, on_scaling, doctor,
                                                                 &request, &doctor->error));
        if (r < 0)
                doctor_say(
                        doctor->report, DOCTOR_FAILED, "DescribeAutoScalingGroups",
                        r == -EACCES
                                ? "allow autoscaling:DescribeAutoScalingGroups on *: on_unhealthy = replace "
                                  "asks how many others are healthy"
                                : NULL,
                        "%s", doctor->error.message);
        else
                doctor_say(doctor->report, DOCTOR_OK, "DescribeAutoScalingGroups", NULL, "of %s", group);
        doctor_say(doctor->report, DOCTOR_NOT_TRIED, "SetInstanceHealth", NULL,
                   "it would have the instance replaced; on_unhealthy = replace needs it");
}

static void describe_instance(Doctor *doctor, const AutoScalingRequest *request) {
        size_t n = 0;
        const AutoScalingInstance *instances = autoscaling_request_instances(request, &n);

        if (n > 0)
                doctor_say(doctor->report, DOCTOR_OK, "DescribeAutoScalingInstances", NULL, "%s of %s is %s",
                           instances[0].id, instances[0].group, instances[0].state_text);
        else
                doctor_say(doctor->report, DOCTOR_OK, "DescribeAutoScalingInstances", NULL,
                           "%s is in no group", doctor->identity.instance);
        if (n > 0)
                check_hooks(doctor,
                            doctor->config->launch_group ? doctor->config->launch_group : instances[0].group);
        if (n > 0 && replaces(doctor->config))
                check_replacement(doctor, instances[0].group);
}

void doctor_check_auto_scaling(Doctor *doctor) {
        char *ids[] = { doctor->identity.instance, NULL };
        _cleanup_(autoscaling_request_freep) AutoScalingRequest *request = NULL;
        int r;

        r = doctor_wait(doctor, autoscaling_describe_instances_start(doctor->aws, ids, on_scaling, doctor,
                                                                     &request, &doctor->error));
        if (r >= 0)
                describe_instance(doctor, request);
        else
                doctor_say(
                        doctor->report, r == -EACCES ? DOCTOR_FAILED : DOCTOR_WARNING,
                        "DescribeAutoScalingInstances",
                        r == -EACCES
                                ? "allow autoscaling:DescribeAutoScalingInstances on *"
                                : "make a way to Auto Scaling (a VPC endpoint, a proxy), or take the launch hook away",
                        "%s", doctor->error.message);
}

/* CloudWatch */

static void on_alarms(_unused_ CloudWatchRequest *request, int result, const Error *error, void *userdata) {
        doctor_done(userdata, result, error);
}

/* Nobody knows here whether a rollout will name alarms. */
void doctor_check_alarms(Doctor *doctor) {
        char *names[] = { (char *) NO_ALARM, NULL };
        _cleanup_(cloudwatch_request_freep) CloudWatchRequest *request = NULL;
        int r;

        r = doctor_wait(doctor, cloudwatch_alarms_start(doctor->aws, names, NULL, on_alarms, doctor, &request,
                                                        &doctor->error));
        if (r >= 0)
                doctor_say(doctor->report, DOCTOR_OK, "DescribeAlarms", NULL,
                           "rollouts may be started with --alarm");
        else
                doctor_say(
                        doctor->report, DOCTOR_WARNING, "DescribeAlarms",
                        r == -EACCES
                                ? "allow cloudwatch:DescribeAlarms on *, if rollouts are started with --alarm"
                                : "make a way to CloudWatch, if rollouts are started with --alarm",
                        "%s", doctor->error.message);
}
