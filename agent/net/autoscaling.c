#include <string.h>
#include <strings.h>

#include "agent/base/parse.h"
#include "agent/base/strv.h"
#include "agent/net/autoscaling.h"
#include "agent/net/aws_query.h"
#include "agent/net/url.h"
#include "agent/net/xml.h"

#define VERSION "2011-01-01"

struct AutoScalingRequest {
        AwsCall *call;
        const char *action;
        int (*take)(AutoScalingRequest *request, Error *error); /* NULL: the answer says nothing */
        XmlElement *answer;                                     /* what the arrays point into */
        AutoScalingInstance *instances;
        AutoScalingHook *hooks;
        AutoScalingGroup *group;
        size_t n;
        AutoScalingDone done;
        void *userdata;
};

AutoScalingRequest *autoscaling_request_free(AutoScalingRequest *request) {
        if (!request)
                return NULL;
        aws_call_free(request->call);
        xml_free(request->answer);
        free(request->instances);
        free(request->hooks);
        autoscaling_group_free(request->group);
        free(request);
        return NULL;
}

/* "No active Lifecycle Action found with instance ID i-…", "… with token …" */
static bool is_no_action(const AwsError *refusal) {
        return refusal && string_equal(refusal->code, "ValidationError") &&
               string_starts_with(refusal->message, "No active Lifecycle Action found");
}

static void on_answer(AwsCall *call, int result, const Error *call_error, void *userdata) {
        AutoScalingRequest *request = userdata;
        Error error = *call_error;

        if (result < 0 && is_no_action(aws_call_error(call)))
                result = AUTOSCALING_NO_ACTION;
        else if (result == 0) {
                result = aws_query_check_answer(call, request->action, &error);
                if (result == 0 && request->take)
                        result = request->take(request, &error);
                if (result < 0)
                        error_prefix(&error, "Auto Scaling %s", request->action);
        }
        request->done(request, result, &error, request->userdata);
}

static int start(AwsContext *aws, const char *action, const Buffer *parameters,
                 int (*take)(AutoScalingRequest *, Error *), AutoScalingDone done, void *userdata,
                 AutoScalingRequest **ret, Error *error) {
        _cleanup_(autoscaling_request_freep) AutoScalingRequest *request = NULL;
        int r;

        request = malloc(sizeof(*request));
        if (!request)
                return error_oom(error);
        *request = (AutoScalingRequest){ .action = action, .take = take, .done = done, .userdata = userdata };
        r = aws_query_start(aws, AWS_AUTO_SCALING, VERSION, action, parameters, on_answer, request,
                            &request->call, error);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(request);
        return 0;
}

static int add_action(const AutoScalingAction *action, Buffer *parameters) {
        int r;

        r = url_query_add(parameters, "AutoScalingGroupName", action->group);
        if (r >= 0)
                r = url_query_add(parameters, "LifecycleHookName", action->hook);
        if (r >= 0 && action->instance_id)
                r = url_query_add(parameters, "InstanceId", action->instance_id);
        if (r >= 0 && action->token)
                r = url_query_add(parameters, "LifecycleActionToken", action->token);
        return r;
}

int autoscaling_complete_start(AwsContext *aws, const AutoScalingAction *action, AutoScalingVerdict verdict,
                               AutoScalingDone done, void *userdata, AutoScalingRequest **ret, Error *error) {
        _cleanup_buffer_ Buffer parameters = {};
        const char *result = verdict == AUTOSCALING_CONTINUE ? "CONTINUE" : "ABANDON";

        if (add_action(action, &parameters) < 0 ||
            url_query_add(&parameters, "LifecycleActionResult", result) < 0)
                return error_oom(error);
        return start(aws, "CompleteLifecycleAction", &parameters, NULL, done, userdata, ret, error);
}

int autoscaling_heartbeat_start(AwsContext *aws, const AutoScalingAction *action, AutoScalingDone done,
                                void *userdata, AutoScalingRequest **ret, Error *error) {
        _cleanup_buffer_ Buffer parameters = {};

        if (add_action(action, &parameters) < 0)
                return error_oom(error);
        return start(aws, "RecordLifecycleActionHeartbeat", &parameters, NULL, done, userdata, ret, error);
}

static const struct {
        const char *text;
        InstanceState state;
} states[] = {
        { "Pending", INSTANCE_PENDING },
        { "Pending:Wait", INSTANCE_PENDING_WAIT },
        { "Pending:Proceed", INSTANCE_PENDING_PROCEED },
        { "InService", INSTANCE_IN_SERVICE },
        { "Terminating", INSTANCE_TERMINATING },
        { "Terminating:Wait", INSTANCE_TERMINATING_WAIT },
        { "Terminating:Proceed", INSTANCE_TERMINATING_PROCEED },
        { "Terminating:Retained", INSTANCE_TERMINATING_RETAINED },
        { "Terminated", INSTANCE_TERMINATED },
        { "Detaching", INSTANCE_DETACHING },
        { "Detached", INSTANCE_DETACHED },
        { "EnteringStandby", INSTANCE_ENTERING_STANDBY },
        { "Standby", INSTANCE_STANDBY },
        { "ReplacingRootVolume", INSTANCE_REPLACING_ROOT_VOLUME },
        { "ReplacingRootVolume:Wait", INSTANCE_REPLACING_ROOT_VOLUME_WAIT },
        { "ReplacingRootVolume:Proceed", INSTANCE_REPLACING_ROOT_VOLUME_PROCEED },
        { "RootVolumeReplaced", INSTANCE_ROOT_VOLUME_REPLACED },
        { "Warmed:Pending", INSTANCE_WARMED_PENDING },
        { "Warmed:Pending:Wait", INSTANCE_WARMED_PENDING_WAIT },
        { "Warmed:Pending:Proceed", INSTANCE_WARMED_PENDING_PROCEED },
        { "Warmed:Pending:Retained", INSTANCE_WARMED_PENDING_RETAINED },
        { "Warmed:Terminating", INSTANCE_WARMED_TERMINATING },
        { "Warmed:Terminating:Wait", INSTANCE_WARMED_TERMINATING_WAIT },
        { "Warmed:Terminating:Proceed", INSTANCE_WARMED_TERMINATING_PROCEED },
        { "Warmed:Terminating:Retained", INSTANCE_WARMED_TERMINATING_RETAINED },
        { "Warmed:Terminated", INSTANCE_WARMED_TERMINATED },
        { "Warmed:Stopped", INSTANCE_WARMED_STOPPED },
        { "Warmed:Running", INSTANCE_WARMED_RUNNING },
        { "Warmed:Hibernated", INSTANCE_WARMED_HIBERNATED },
};

InstanceState instance_state_from_string(const char *text) {
        for (size_t i = 0; i < ELEMENTSOF(states); i++)
                if (string_equal(text, states[i].text))
                        return states[i].state;
        return INSTANCE_UNKNOWN;
}

static int parse_answer(AutoScalingRequest *request, const char *list, size_t element_size, void **ret_array,
                        const XmlElement **ret_first, Error *error) {
        const Buffer *body = aws_call_body(request->call);

        return xml_parse_list(buffer_string(body), body->size, list, element_size, &request->answer,
                              ret_array, ret_first, error);
}

static bool parse_instance(const XmlElement *member, AutoScalingInstance *ret) {
        const char *health = xml_text(member, "HealthStatus"),
                   *protected = xml_text(member, "ProtectedFromScaleIn");

        *ret = (AutoScalingInstance){
                .id = xml_text(member, "InstanceId"),
                .group = xml_text(member, "AutoScalingGroupName"),
                .availability_zone = xml_text(member, "AvailabilityZone"),
                .state_text = xml_text(member, "LifecycleState"),
                .healthy = health && strcasecmp(health, "HEALTHY") == 0,
                .protected_from_scale_in = string_equal(protected, "true"),
        };
        if (!ret->id || !ret->group || !ret->state_text)
                return false;
        ret->availability_zone = ret->availability_zone ? ret->availability_zone : "";
        ret->state = instance_state_from_string(ret->state_text);
        return true;
}

static int take_instances(AutoScalingRequest *request, Error *error) {
        const XmlElement *member;
        void *array;
        int r;

        r = parse_answer(request, "DescribeAutoScalingInstancesResult/AutoScalingInstances/member",
                         sizeof(AutoScalingInstance), &array, &member, error);
        if (r < 0)
                return r;
        request->instances = array;
        for (; member; member = xml_next(member))
                if (!parse_instance(member, &request->instances[request->n++]))
                        return error_set_fault(
                                error, -EBADMSG, FAULT_HOST,
                                "an instance without InstanceId, AutoScalingGroupName or LifecycleState");
        return 0;
}

int autoscaling_describe_instances_start(AwsContext *aws, char *const *ids, AutoScalingDone done,
                                         void *userdata, AutoScalingRequest **ret, Error *error) {
        _cleanup_buffer_ Buffer parameters = {};
        size_t n = strv_length(ids);
        int r = 0;

        if (n == 0 || n > AUTOSCALING_INSTANCES_MAX)
                return error_set(error, -EINVAL, "%zu instances, expected 1 to %u", n,
                                 AUTOSCALING_INSTANCES_MAX);
        for (size_t i = 0; i < n && r >= 0; i++) {
                char name[64];

                snprintf(name, sizeof(name), "InstanceIds.member.%zu", i + 1);
                r = url_query_add(&parameters, name, ids[i]);
        }
        if (r < 0)
                return error_oom(error);
        return start(aws, "DescribeAutoScalingInstances", &parameters, take_instances, done, userdata, ret,
                     error);
}

static bool parse_seconds(const char *text, uint64_t *ret_usec) {
        uint64_t seconds;

        if (!text || parse_u64(text, &seconds) < 0 || seconds > UINT32_MAX)
                return false;
        *ret_usec = seconds * USEC_PER_SEC;
        return true;
}

static bool parse_hook(const XmlElement *member, AutoScalingHook *ret) {
        *ret = (AutoScalingHook){
                .name = xml_text(member, "LifecycleHookName"),
                .transition = xml_text(member, "LifecycleTransition"),
        };
        if (!ret->name || !ret->transition ||
            !parse_seconds(xml_text(member, "HeartbeatTimeout"), &ret->heartbeat_timeout))
                return false;
        if (!parse_seconds(xml_text(member, "GlobalTimeout"), &ret->global_timeout))
                ret->global_timeout = USEC_INFINITY;
        ret->is_launch = string_equal(ret->transition, "autoscaling:EC2_INSTANCE_LAUNCHING");
        ret->default_result = string_equal(xml_text(member, "DefaultResult"), "CONTINUE")
                                      ? AUTOSCALING_CONTINUE
                                      : AUTOSCALING_ABANDON;
        return true;
}

static int take_hooks(AutoScalingRequest *request, Error *error) {
        const XmlElement *member;
        void *array;
        int r;

        r = parse_answer(request, "DescribeLifecycleHooksResult/LifecycleHooks/member",
                         sizeof(AutoScalingHook), &array, &member, error);
        if (r < 0)
                return r;
        request->hooks = array;
        for (; member; member = xml_next(member))
                if (!parse_hook(member, &request->hooks[request->n++]))
                        return error_set_fault(
                                error, -EBADMSG, FAULT_HOST,
                                "a lifecycle hook without LifecycleHookName, LifecycleTransition or HeartbeatTimeout");
        return 0;
}

int autoscaling_describe_hooks_start(AwsContext *aws, const char *group, AutoScalingDone done, void *userdata,
                                     AutoScalingRequest **ret, Error *error) {
        _cleanup_buffer_ Buffer parameters = {};

        if (url_query_add(&parameters, "AutoScalingGroupName", group) < 0)
                return error_oom(error);
        return start(aws, "DescribeLifecycleHooks", &parameters, take_hooks, done, userdata, ret, error);
}

static int take_group(AutoScalingRequest *request, Error *error) {
        const Buffer *body = aws_call_body(request->call);

        return autoscaling_group_parse(buffer_string(body), body->size, &request->group, error);
}

int autoscaling_describe_group_start(AwsContext *aws, const char *group, AutoScalingDone done, void *userdata,
                                     AutoScalingRequest **ret, Error *error) {
        _cleanup_buffer_ Buffer parameters = {};

        if (url_query_add(&parameters, "AutoScalingGroupNames.member.1", group) < 0)
                return error_oom(error);
        return start(aws, "DescribeAutoScalingGroups", &parameters, take_group, done, userdata, ret, error);
}

int autoscaling_set_unhealthy_start(AwsContext *aws, const char *instance_id, AutoScalingDone done,
                                    void *userdata, AutoScalingRequest **ret, Error *error) {
        _cleanup_buffer_ Buffer parameters = {};

        if (url_query_add(&parameters, "InstanceId", instance_id) < 0 ||
            url_query_add(&parameters, "HealthStatus", "Unhealthy") < 0 ||
            url_query_add(&parameters, "ShouldRespectGracePeriod", "true") < 0)
                return error_oom(error);
        return start(aws, "SetInstanceHealth", &parameters, NULL, done, userdata, ret, error);
}

const AutoScalingGroup *autoscaling_request_group(const AutoScalingRequest *request) {
        return request->group;
}

const AutoScalingInstance *autoscaling_request_instances(const AutoScalingRequest *request, size_t *ret_n) {
        *ret_n = request->instances ? request->n : 0;
        return request->instances;
}

const AutoScalingHook *autoscaling_request_hooks(const AutoScalingRequest *request, size_t *ret_n) {
        *ret_n = request->hooks ? request->n : 0;
        return request->hooks;
}
