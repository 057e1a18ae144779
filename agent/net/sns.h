#pragma once

/* Amazon SNS (Query API of 2010-03-31): something is published to a topic; a queue of SQS is subscribed to one, and taken off it again ("Amazon SNS API
 * Reference"). Requests are signed for the region in the topic's ARN, which need not be the queue's.
 *
 * The end of a queue does not end its subscription. */

#include "agent/net/aws_call.h"

#define SNS_ARN_MAX 512 /* what is taken as an ARN at most, with the zero byte */

typedef struct SnsRequest SnsRequest;

/* RESULT is 0 or a negative errno as in aws_call.h; -ENOENT where there is no such topic, -EEXIST where the queue is
 * subscribed already with other attributes. */
typedef void (*SnsDone)(SnsRequest *request, int result, const Error *error, void *userdata);

SnsRequest *sns_request_free(SnsRequest *request);
DEFINE_CLEANUP(SnsRequest *, sns_request_free)

/* Raw delivery: messages arrive as they were published, without an envelope. The same subscription may be asked for any
 * number of times. */
int sns_subscribe_start(AwsContext *aws, const char *topic, const char *queue_arn, SnsDone done,
                        void *userdata, SnsRequest **ret, Error *error);

/* The subscription's ARN; belongs to the request. */
const char *sns_request_subscription(const SnsRequest *request);

/* One that is no more is no error. */
int sns_unsubscribe_start(AwsContext *aws, const char *subscription, SnsDone done, void *userdata,
                          SnsRequest **ret, Error *error);

typedef struct SnsSubscription {
        const char *arn; /* of the subscription; some other word while it is not confirmed */
        const char *protocol;
        const char *endpoint; /* with the protocol "sqs" the queue's ARN */
} SnsSubscription;

/* A page of at most a hundred. TOKEN: NULL for the first page, else that of the page before. */
int sns_list_start(AwsContext *aws, const char *topic, const char *token, SnsDone done, void *userdata,
                   SnsRequest **ret, Error *error);

/* Belong to the request. The token is NULL on the last page. */
const SnsSubscription *sns_request_subscriptions(const SnsRequest *request, size_t *ret_n);
const char *sns_request_token(const SnsRequest *request);

/* By attributes subscribers can choose what they get (filter policies). */
#define SNS_ATTRIBUTES_MAX 3U
typedef struct SnsMessage {
        const char *text;    /* UTF-8, at most 256 KiB */
        const char *subject; /* of ASCII, at most 100 characters; for those who get mail */
        const char *order;   /* of a FIFO topic: what comes in order */
        const char *id;      /* of a FIFO topic: what is the same again */
        struct {
                const char *name, *value;
        } attributes[SNS_ATTRIBUTES_MAX]; /* fewer: the rest is NULL */
} SnsMessage;

int sns_publish_start(AwsContext *aws, const char *topic, const SnsMessage *message, SnsDone done,
                      void *userdata, SnsRequest **ret, Error *error);
