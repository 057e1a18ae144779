#pragma once

/* Elastic Load Balancing v2 (Query API of 2015-12-01): what an instance says and asks about its place in target groups. */

#include "agent/net/aws_call.h"
#include "agent/net/elb_answer.h"

#define ELB_TARGETS_MAX 64U /* that one request names */
#define ELB_NAMES_MAX 50U   /* likewise, of target groups */

typedef struct ElbRequest ElbRequest;

/* RESULT is 0, ELB_NO_TARGET_GROUP (there is none of that name or ARN any more), or a negative errno as in aws_call.h. */
#define ELB_NO_TARGET_GROUP 1
typedef void (*ElbDone)(ElbRequest *request, int result, const Error *error, void *userdata);

ElbRequest *elb_request_free(ElbRequest *request);
DEFINE_CLEANUP(ElbRequest *, elb_request_free)

/* A target group may have one instance at several ports, each a target of its own. */
typedef struct ElbTarget {
        const char *id;
        uint16_t port;
} ElbTarget;

/* The health of TARGETS; N_TARGETS 0: of every target of the group. One that is not registered is "unused". */
int elb_describe_health_start(AwsContext *aws, const char *arn, const ElbTarget *targets, size_t n_targets,
                              ElbDone done, void *userdata, ElbRequest **ret, Error *error);

/* What is registered already stays so; what drains comes back. */
int elb_register_start(AwsContext *aws, const char *arn, const ElbTarget *targets, size_t n_targets,
                       ElbDone done, void *userdata, ElbRequest **ret, Error *error);

/* What is not registered stays so. */
int elb_deregister_start(AwsContext *aws, const char *arn, const ElbTarget *targets, size_t n_targets,
                         ElbDone done, void *userdata, ElbRequest **ret, Error *error);

/* NAMES: 1 to ELB_NAMES_MAX, NULL-terminated. */
int elb_describe_groups_start(AwsContext *aws, char *const *names, ElbDone done, void *userdata,
                              ElbRequest **ret, Error *error);

/* What came back; belongs to the request. */
const ElbHealth *elb_request_health(const ElbRequest *request);
const ElbTargetGroups *elb_request_groups(const ElbRequest *request);
