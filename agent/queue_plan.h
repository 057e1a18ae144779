#pragma once

/* The queue that an instance makes for itself, as values: its name, its attributes, who may send to it, its tags. The name
 * says the group and the instance to a person; a digest of all that the queue is for makes it the only one of its kind,
 * and the same one after a restart. `muster queue` reads the tags to know whose queue it is. Pure.
 *
 * "CreateQueue" in the Amazon SQS API Reference; "Subscribing an Amazon SQS queue to an Amazon SNS topic" (policy). */

#include <jansson.h>
#include <stdbool.h>

#define QUEUE_PLAN_NAME_MAX 81 /* SQS's 80 characters and the zero byte */
#define QUEUE_PLAN_PREFIX "muster-"
#define QUEUE_PLAN_RETENTION 3600U /* seconds; who was away for longer looks at the depot when it is back */

#define QUEUE_TAG_DEPOT "muster:depot"
#define QUEUE_TAG_GROUP "muster:group"
#define QUEUE_TAG_INSTANCE "muster:instance"
#define QUEUE_TAG_OWNER "muster:owner"
#define QUEUE_TAG_REPORT "muster:report"
#define QUEUE_TAG_TOPIC "muster:topic"
#define QUEUE_TAG_MAX 257 /* of a value, with the zero byte */

typedef struct QueuePlan {
        const char *depot; /* its URI */
        const char *group;
        const char *instance;
        const char *owner; /* aws:userid, to which an IAM policy can confine the queue */
        /* where in the depot this instance reports, by which others see that it is alive */
        const char *report;
        const char *topic; /* ARN of the one topic that may send */
} QueuePlan;

/* "muster-GROUP-INSTANCE-DIGEST"; what SQS does not allow becomes "-", what is too long is cut. -ENOMEM. */
int queue_plan_name(const QueuePlan *plan, char ret[static QUEUE_PLAN_NAME_MAX]);

/* What all names of a group's queues begin with; those of other groups may do so too. */
void queue_plan_prefix(const char *group, char ret[static QUEUE_PLAN_NAME_MAX]);

/* Objects of strings, new references; NULL: out of memory. QUEUE_ARN is NULL as long as it is not known: then without the
 * policy. A value that cannot be a tag's is left out. */
json_t *queue_plan_attributes(const QueuePlan *plan, const char *queue_arn);
json_t *queue_plan_tags(const QueuePlan *plan);

/* A depot as its tag has it: the URI, or where that cannot be a tag, "sha256:" and its digest. -ENOMEM. */
int queue_plan_depot_tag(const char *depot, char ret[static QUEUE_TAG_MAX]);

/* Whether FOUND has all attributes of WANTED; a policy counts by what it says, not by how it is written. */
bool queue_plan_is_met(const json_t *wanted, const json_t *found);
