#pragma once

/* The JSON protocols of AWS, 1.0 and 1.1: a POST whose X-Amz-Target names the operation, an object in, an object out
 * ("AWS JSON 1.0 protocol" in the Smithy documentation). */

#include <jansson.h>

#include "agent/net/aws_call.h"

typedef struct AwsJson {
        AwsService service;
        const char *version;   /* "1.0" */
        const char *target;    /* "AmazonSQS" */
        const char *operation; /* "ReceiveMessage" */
        const char *region;    /* NULL: the context's */
        HttpTimeouts timeouts;
        size_t response_limit; /* as in HttpRequest */
} AwsJson;

/* INPUT is borrowed. */
int aws_json_start(AwsContext *aws, const AwsJson *json, const json_t *input, AwsDone done, void *userdata,
                   AwsCall **ret, Error *error);

/* The object that a call which ended with 0 was answered with; a service may leave the body out for an empty one.
 * -EBADMSG, -ENOMEM. */
int aws_json_answer(const AwsCall *call, json_t **ret, Error *error);
