#pragma once

/* The answer to SQS ReceiveMessage as values ("ReceiveMessage" in the Amazon SQS API Reference). Pure: no network. */

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "agent/base/error.h"

#define SQS_MESSAGES_MAX 10U /* in one answer, and in one batch */

typedef struct SqsMessage {
        const char *id;
        const char *receipt; /* of this delivery: what it is removed or given back with */
        const char *body;    /* UTF-8 without zero characters */
        size_t body_size;
} SqsMessage;

/* Points into the answer that it was read from. */
typedef struct SqsMessages {
        SqsMessage items[SQS_MESSAGES_MAX];
        size_t n;
        size_t n_damaged; /* left out, since the body is not what MD5OfBody says; they come again */
} SqsMessages;

/* No messages is no error. -EBADMSG for an answer that has not this shape. */
int sqs_messages_read(const json_t *answer, SqsMessages *ret, Error *error);

/* The region in the host of a queue's URL (https://sqs.REGION.amazonaws.com/ACCOUNT/NAME, also the older
 * REGION.queue.amazonaws.com, FIPS and dual-stack names); false where the host says none. */
#define SQS_REGION_MAX 64
bool sqs_url_region(const char *queue_url, char ret[static SQS_REGION_MAX]);

/* 1 to 80 of A-Z a-z 0-9 _ -, and ".fifo" at the end of a FIFO queue's name. */
bool sqs_queue_name_is_valid(const char *name);
