#pragma once

/* What Elastic Load Balancing v2 answers about target groups. Pure: bytes in, values out. States and reasons:
 * "TargetHealth" in the API reference of 2015-12-01. */

#include <stdbool.h>

#include "agent/net/xml.h"

typedef enum ElbTargetState {
        ELB_TARGET_UNKNOWN, /* newer than the table */
        ELB_TARGET_INITIAL,
        ELB_TARGET_HEALTHY,
        ELB_TARGET_UNHEALTHY,
        ELB_TARGET_UNHEALTHY_DRAINING, /* registered, but failing: its connections are being ended */
        ELB_TARGET_UNUSED,             /* not registered, or in a target group that no load balancer uses */
        ELB_TARGET_DRAINING,           /* deregistered; connections that are open may end in peace */
        ELB_TARGET_UNAVAILABLE,        /* nobody checks its health */
} ElbTargetState;

typedef struct ElbTargetHealth {
        const char *id; /* of an instance, an address or a function, by the kind of the target group */
        uint16_t port;  /* 0: none, as of a function */
        ElbTargetState state;
        const char *state_text;
        const char *reason;      /* "Target.NotRegistered"; "" */
        const char *description; /* a sentence; "" */
} ElbTargetHealth;

/* DescribeTargetHealth. */
typedef struct ElbHealth {
        XmlElement *xml; /* what the texts belong to */
        ElbTargetHealth *targets;
        size_t n;
} ElbHealth;

/* -EBADMSG with its sentence, -ENOMEM. */
int elb_health_parse(const char *text, size_t size, ElbHealth *ret, Error *error);
void elb_health_deinit(ElbHealth *health);

/* DescribeTargetGroups. */
typedef struct ElbTargetGroup {
        const char *name;
        const char *arn;
} ElbTargetGroup;

typedef struct ElbTargetGroups {
        XmlElement *xml;
        ElbTargetGroup *groups;
        size_t n;
} ElbTargetGroups;

int elb_target_groups_parse(const char *text, size_t size, ElbTargetGroups *ret, Error *error);
void elb_target_groups_deinit(ElbTargetGroups *groups);

ElbTargetState elb_target_state_from_string(const char *text);

/* "arn:PARTITION:elasticloadbalancing:REGION:ACCOUNT:targetgroup/NAME/ID" */
bool elb_is_target_group_arn(const char *text);

/* The NAME of that for people, new memory; a text of another shape whole. -ENOMEM. */
int elb_target_group_name(const char *arn, char **ret);
