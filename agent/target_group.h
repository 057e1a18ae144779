#pragma once

/* Takes this instance out of its target groups and puts it back, as itself: registration_find.h says as what it is registered,
 * target_group_leave_start() deregisters exactly that and waits until no connection is left, target_group_join_start()
 * registers it again and waits until the load balancer finds it healthy. Whoever leaves and wants to come back notes
 * durably what is left before leaving it. */

#include <systemd/sd-event.h>

#include "agent/base/clock.h"
#include "agent/net/aws.h"
#include "agent/net/elb_answer.h"
#include "agent/target_registration.h"

/* Between two looks at the targets: grows from the first to the second, with jitter, since the account's API requests are
 * counted and many instances may wait at once. */
#define TARGET_GROUP_POLL_FIRST (500 * USEC_PER_MSEC)
#define TARGET_GROUP_POLL_MAX (10 * USEC_PER_SEC)

typedef struct TargetGroup TargetGroup;

/* RESULT is 0; TARGET_GROUP_LATE: connections are still open, or the load balancer does not find the instance healthy yet,
 * and ERROR says where and why; or a negative errno. */
#define TARGET_GROUP_LATE 1
typedef void (*TargetGroupDone)(TargetGroup *operation, int result, const Error *error, void *userdata);

/* What is borrowed must stay. */
typedef struct TargetGroupContext {
        sd_event *event;
        const Clock *clock;
        AwsContext *aws;
        const char *instance;
        uint64_t patience; /* how long it may take, microseconds */
} TargetGroupContext;

/* Deregisters, then waits. A refusal, or a service that cannot be reached even after aws_call.h's repeats, ends it with that:
 * by then some of REGISTRATIONS, which are copied, may be deregistered. While it waits nothing but time ends it. */
int target_group_leave_start(const TargetGroupContext *context, const TargetRegistrations *registrations,
                             TargetGroupDone done, void *userdata, TargetGroup **ret, Error *error);

/* Registers, then waits; nothing but time ends it without success. A target group that does not exist any more is passed over,
 * one that no load balancer uses, or whose targets nobody checks, is not waited for. */
int target_group_join_start(const TargetGroupContext *context, const TargetRegistrations *registrations,
                            TargetGroupDone done, void *userdata, TargetGroup **ret, Error *error);

/* Whether all of them are registered again, healthy or not: what join may have done although it was late. */
bool target_group_is_registered(const TargetGroup *operation);

TargetGroup *target_group_free(TargetGroup *operation);
DEFINE_CLEANUP(TargetGroup *, target_group_free)

/* Pure: whether a target is out, with no connection left; whether it is in, with nothing more to wait for. */
bool target_group_is_out(const ElbTargetHealth *target);
bool target_group_is_in(const ElbTargetHealth *target);
