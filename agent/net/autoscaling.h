#pragma once

/* EC2 Auto Scaling (Query API of 2011-01-01): what an instance says and asks about its own lifecycle. Lifecycle states and
 * hooks: "Amazon EC2 Auto Scaling lifecycle hooks" (User Guide) and the API reference of each action. */

#include "agent/net/autoscaling_group.h"
#include "agent/net/aws_call.h"

#define AUTOSCALING_INSTANCES_MAX 50U /* that one request can ask about */

typedef struct AutoScalingRequest AutoScalingRequest;

/* RESULT is 0, AUTOSCALING_NO_ACTION (complete and heartbeat: the group knows of no lifecycle action that waits: it was
 * completed, it timed out, the instance was launched before the hook existed, or it has not come to :Wait yet) or a
 * negative errno as in aws_call.h. */
#define AUTOSCALING_NO_ACTION 1
typedef void (*AutoScalingDone)(AutoScalingRequest *request, int result, const Error *error, void *userdata);

AutoScalingRequest *autoscaling_request_free(AutoScalingRequest *request);
DEFINE_CLEANUP(AutoScalingRequest *, autoscaling_request_free)

typedef struct AutoScalingAction {
        const char *group;
        const char *hook;
        const char *instance_id;
        const char *token; /* of one action; NULL: whichever waits */
} AutoScalingAction;

typedef enum AutoScalingVerdict {
        AUTOSCALING_CONTINUE,
        AUTOSCALING_ABANDON,
} AutoScalingVerdict;

int autoscaling_complete_start(AwsContext *aws, const AutoScalingAction *action, AutoScalingVerdict verdict,
                               AutoScalingDone done, void *userdata, AutoScalingRequest **ret, Error *error);

/* Restarts the hook's timer. */
int autoscaling_heartbeat_start(AwsContext *aws, const AutoScalingAction *action, AutoScalingDone done,
                                void *userdata, AutoScalingRequest **ret, Error *error);

/* Every state that the API reference of LifecycleState lists; one that is newer than this table is _UNKNOWN. */
typedef enum InstanceState {
        INSTANCE_UNKNOWN,
        INSTANCE_PENDING,
        INSTANCE_PENDING_WAIT,
        INSTANCE_PENDING_PROCEED,
        INSTANCE_IN_SERVICE,
        INSTANCE_TERMINATING,
        INSTANCE_TERMINATING_WAIT,
        INSTANCE_TERMINATING_PROCEED,
        INSTANCE_TERMINATING_RETAINED,
        INSTANCE_TERMINATED,
        INSTANCE_DETACHING,
        INSTANCE_DETACHED,
        INSTANCE_ENTERING_STANDBY,
        INSTANCE_STANDBY,
        INSTANCE_REPLACING_ROOT_VOLUME,
        INSTANCE_REPLACING_ROOT_VOLUME_WAIT,
        INSTANCE_REPLACING_ROOT_VOLUME_PROCEED,
        INSTANCE_ROOT_VOLUME_REPLACED,
        INSTANCE_WARMED_PENDING,
        INSTANCE_WARMED_PENDING_WAIT,
        INSTANCE_WARMED_PENDING_PROCEED,
        INSTANCE_WARMED_PENDING_RETAINED,
        INSTANCE_WARMED_TERMINATING,
        INSTANCE_WARMED_TERMINATING_WAIT,
        INSTANCE_WARMED_TERMINATING_PROCEED,
        INSTANCE_WARMED_TERMINATING_RETAINED,
        INSTANCE_WARMED_TERMINATED,
        INSTANCE_WARMED_STOPPED,
        INSTANCE_WARMED_RUNNING,
        INSTANCE_WARMED_HIBERNATED,
} InstanceState;

InstanceState instance_state_from_string(const char *text);

typedef struct AutoScalingInstance {
        const char *id;
        const char *group;
        const char *availability_zone;
        const char *state_text;
        InstanceState state;
        bool healthy; /* HealthStatus */
        bool protected_from_scale_in;
} AutoScalingInstance;

/* IDS: 1 to AUTOSCALING_INSTANCES_MAX, NULL-terminated. Instances of no group are left out of the answer. */
int autoscaling_describe_instances_start(AwsContext *aws, char *const *ids, AutoScalingDone done,
                                         void *userdata, AutoScalingRequest **ret, Error *error);

typedef struct AutoScalingHook {
        const char *name;
        const char *
                transition; /* "autoscaling:EC2_INSTANCE_LAUNCHING", "autoscaling:EC2_INSTANCE_TERMINATING" */
        bool is_launch;
        uint64_t heartbeat_timeout; /* microseconds */
        uint64_t global_timeout;
        AutoScalingVerdict default_result;
} AutoScalingHook;

/* All hooks of a group. */
int autoscaling_describe_hooks_start(AwsContext *aws, const char *group, AutoScalingDone done, void *userdata,
                                     AutoScalingRequest **ret, Error *error);

/* One group and its instances. */
int autoscaling_describe_group_start(AwsContext *aws, const char *group, AutoScalingDone done, void *userdata,
                                     AutoScalingRequest **ret, Error *error);

/* Asks the group to replace the instance, but for the group's grace period after a launch. */
int autoscaling_set_unhealthy_start(AwsContext *aws, const char *instance_id, AutoScalingDone done,
                                    void *userdata, AutoScalingRequest **ret, Error *error);

/* What came back; belongs to the request. A group that does not exist is NULL. */
const AutoScalingGroup *autoscaling_request_group(const AutoScalingRequest *request);
const AutoScalingInstance *autoscaling_request_instances(const AutoScalingRequest *request, size_t *ret_n);
const AutoScalingHook *autoscaling_request_hooks(const AutoScalingRequest *request, size_t *ret_n);
