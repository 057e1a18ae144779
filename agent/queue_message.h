#pragma once

/* What an SQS message says, whoever sent it: bytes in, value out. Nothing in it is believed: it is a reason to look at
 * the depot, or a signed document that is checked like any other. Understood are, directly, through SNS (raw or in its
 * envelope) and, where AWS sends them so, through EventBridge:
 *
 *   { "muster": "changed", "app": "api", "group": "prod", "instance": "i-…" }      ours; each of the last three may be missing
 *   { "payloadType": "application/vnd.muster.target.v1+json", "payload": … }       ours: a signed target
 *   S3 event notifications 2.x, their test message; "Event message structure" in the S3 User Guide
 *   Auto Scaling lifecycle actions, their test message; "Lifecycle hooks" in the Auto Scaling User Guide
 *   EC2 spot interruptions and rebalance recommendations; "Spot Instance interruption notices" in the EC2 User Guide
 */

#include <stdbool.h>
#include <stddef.h>

#include "agent/base/cleanup.h"
#include "agent/base/error.h"

#define QUEUE_MESSAGE_SIZE_MAX (256U * 1024U)
#define QUEUE_NOTICES_MAX 100U /* records of one S3 notification */

typedef enum QueueNoticeKind {
        QUEUE_NOTICE_NONE,         /* a test message, or an event that asks for nothing */
        QUEUE_NOTICE_CHANGED,      /* look at the depot */
        QUEUE_NOTICE_TARGET,       /* an envelope that says it holds a target */
        QUEUE_NOTICE_OBJECT,       /* an object in S3 was written or removed */
        QUEUE_NOTICE_LIFECYCLE,    /* an Auto Scaling lifecycle action waits */
        QUEUE_NOTICE_INTERRUPTION, /* EC2 is about to take the instance away, or may be */
} QueueNoticeKind;

/* Texts that are not there are NULL. */
typedef struct QueueNotice {
        QueueNoticeKind kind;
        const char *app;      /* CHANGED */
        const char *group;    /* CHANGED: the deployment group; LIFECYCLE: the Auto Scaling group */
        const char *instance; /* CHANGED, LIFECYCLE, INTERRUPTION */
        const char *bucket;   /* OBJECT */
        char *key;            /* OBJECT: decoded */
        const char *hook;     /* LIFECYCLE */
        const char *token;    /* LIFECYCLE */
        bool launches;        /* LIFECYCLE: it comes; else it goes */
        bool warm_pool;       /* LIFECYCLE: it goes into a warm pool */
        const char *event;    /* what people call it: "EC2 Spot Instance Interruption Warning" */
} QueueNotice;

typedef struct QueueMessage QueueMessage;

/* BODY must stay as long as the message. -EBADMSG with a sentence where it cannot be understood; -ENOMEM. */
int queue_message_parse(const char *body, size_t size, QueueMessage **ret, Error *error);
QueueMessage *queue_message_free(QueueMessage *message);
DEFINE_CLEANUP(QueueMessage *, queue_message_free)

const QueueNotice *queue_message_notices(const QueueMessage *message, size_t *ret_n);

/* The text of a QUEUE_NOTICE_TARGET. */
const char *queue_message_envelope(const QueueMessage *message, size_t *ret_size);
