#pragma once

/* Amazon SQS (API of 2012-11-05, JSON 1.0): messages of one queue are received in long polls, removed, or given back;
 * queues are made, found and deleted ("Amazon SQS API Reference"). Requests are signed for the region in the queue's URL.
 *
 * A queue delivers at least once and in no order; a message that was received is hidden from others for its visibility
 * time-out, and comes again after it unless it was removed. */

#include <jansson.h>

#include "agent/net/aws_call.h"
#include "agent/net/sqs_message.h"

#define SQS_WAIT_MAX 20U /* seconds of a long poll */
/* One message of the greatest size (1 MiB), however it is escaped; ten of them do not fit: -E2BIG. */
#define SQS_RESPONSE_MAX (4U * 1024U * 1024U)

typedef struct SqsRequest SqsRequest;

/* RESULT is 0 or a negative errno as in aws_call.h; -ENOENT where there is no such queue, -E2BIG where the messages are
 * larger than SQS_RESPONSE_MAX together, -EEXIST and -EBUSY as sqs_create_queue_start() says. */
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

#define SQS_DELETED_SECONDS 60U /* for so long the name of a queue that was deleted cannot be used again */

/* ATTRIBUTES and TAGS are objects of strings, borrowed. A queue of that name and those attributes may be there already.
 * RESULT is -EEXIST where it has others, -EBUSY where one of that name was deleted within SQS_DELETED_SECONDS. Then
 * sqs_request_queue_url(). */
int sqs_create_queue_start(AwsContext *aws, const char *name, json_t *attributes, json_t *tags, SqsDone done,
                           void *userdata, SqsRequest **ret, Error *error);

int sqs_delete_queue_start(AwsContext *aws, const char *queue_url, SqsDone done, void *userdata,
                           SqsRequest **ret, Error *error);

/* All attributes; then sqs_request_values(). */
int sqs_get_attributes_start(AwsContext *aws, const char *queue_url, SqsDone done, void *userdata,
                             SqsRequest **ret, Error *error);
int sqs_set_attributes_start(AwsContext *aws, const char *queue_url, json_t *attributes, SqsDone done,
                             void *userdata, SqsRequest **ret, Error *error);

/* Then sqs_request_values(). */
int sqs_list_tags_start(AwsContext *aws, const char *queue_url, SqsDone done, void *userdata,
                        SqsRequest **ret, Error *error);

/* An object of strings, {} where there are none; belongs to the request. */
const json_t *sqs_request_values(const SqsRequest *request);

/* A page of at most a thousand queues of this account whose names begin with PREFIX. TOKEN: NULL for the first page, else
 * that of the page before. */
int sqs_list_queues_start(AwsContext *aws, const char *prefix, const char *token, SqsDone done,
                          void *userdata, SqsRequest **ret, Error *error);

/* An array of URLs, perhaps NULL; belongs to the request. The token is NULL on the last page. */
const json_t *sqs_request_queues(const SqsRequest *request);
const char *sqs_request_token(const SqsRequest *request);
