#pragma once

/* Amazon SQS (API of 2012-11-05, JSON 1.0): messages of one queue are received in long polls, removed, or given back
 * ("Amazon SQS API Reference"). Requests are signed for the region in the queue's URL.
 *
 * A queue delivers at least once and in no order; a message that was received is hidden from others for its visibility
 * time-out, and comes again after it unless it was removed. */

#include "agent/net/aws_call.h"
#include "agent/net/sqs_message.h"

#define SQS_WAIT_MAX 20U /* seconds of a long poll */
/* One message of the greatest size (1 MiB), however it is escaped; ten of them do not fit: -E2BIG. */
#define SQS_RESPONSE_MAX (4U * 1024U * 1024U)

typedef struct SqsRequest SqsRequest;

/* RESULT is 0 or a negative errno as in aws_call.h; -ENOENT where there is no such queue, -E2BIG where the messages are
 * larger than SQS_RESPONSE_MAX together. */
typedef void (*SqsDone)(SqsRequest *request, int result, const Error *error, void *userdata);

SqsRequest *sqs_request_free(SqsRequest *request);
DEFINE_CLEANUP(SqsRequest *, sqs_request_free)

/* The URL of a queue of this account. */
int sqs_get_queue_url_start(AwsContext *aws, const char *name, SqsDone done, void *userdata, SqsRequest **ret,
                            Error *error);

/* Belongs to the request. */
const char *sqs_request_queue_url(const SqsRequest *request);

typedef struct SqsReceive {
        const char *queue_url;
        unsigned messages_max; /* 1 to SQS_MESSAGES_MAX */
        unsigned wait;         /* seconds that an empty queue is waited for, at most SQS_WAIT_MAX */
        unsigned visibility;   /* seconds that they are hidden from others */
} SqsReceive;

int sqs_receive_start(AwsContext *aws, const SqsReceive *receive, SqsDone done, void *userdata,
                      SqsRequest **ret, Error *error);

/* Belongs to the request; no messages is an ordinary answer. */
const SqsMessages *sqs_request_messages(const SqsRequest *request);

/* Removes up to SQS_MESSAGES_MAX messages. RESULT is -EREMOTEIO too where the service kept some of them, and says the
 * first one's reason. */
int sqs_delete_start(AwsContext *aws, const char *queue_url, char *const *receipts, SqsDone done,
                     void *userdata, SqsRequest **ret, Error *error);

/* Gives them back, to be delivered again after SECONDS. The same. */
int sqs_hide_start(AwsContext *aws, const char *queue_url, char *const *receipts, unsigned seconds,
                   SqsDone done, void *userdata, SqsRequest **ret, Error *error);
