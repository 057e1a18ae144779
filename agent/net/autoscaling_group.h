#pragma once

/* One group as DescribeAutoScalingGroups answers: what traffic reaches it through, and how many of its instances there are
 * to count on. Pure: bytes in, a value out. */

#include <stddef.h>

#include "agent/base/error.h"

#define AUTOSCALING_TARGET_GROUPS_MAX 100U

typedef struct AutoScalingGroup {
        char *name;
        char **target_groups; /* ARNs; NULL: none */
        unsigned desired;
        unsigned instances;
        unsigned in_service;
        unsigned healthy; /* of those in service */
        char **serving;   /* the ids of those in service; NULL: none */
} AutoScalingGroup;

/* *RET is NULL where the answer names no group. -EBADMSG with its sentence, -E2BIG, -ENOMEM. */
int autoscaling_group_parse(const char *text, size_t size, AutoScalingGroup **ret, Error *error);

AutoScalingGroup *autoscaling_group_free(AutoScalingGroup *group);
DEFINE_CLEANUP(AutoScalingGroup *, autoscaling_group_free)
