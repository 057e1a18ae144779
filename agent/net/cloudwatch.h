#pragma once

/* Amazon CloudWatch (JSON 1.0): the states of alarms, by their names ("DescribeAlarms" in the Amazon CloudWatch API Reference).
 *
 * An alarm that there is not is silently left out of the answer. */

#include "agent/net/aws_call.h"

#define CLOUDWATCH_ALARMS_MAX 100U /* in one request */

typedef struct CloudWatchRequest CloudWatchRequest;

/* RESULT is 0 or a negative errno as in aws_call.h, -EBADMSG for an answer that is none. */
typedef void (*CloudWatchDone)(CloudWatchRequest *request, int result, const Error *error, void *userdata);

CloudWatchRequest *cloudwatch_request_free(CloudWatchRequest *request);
DEFINE_CLEANUP(CloudWatchRequest *, cloudwatch_request_free)

/* Metric alarms and composite ones; NAMES is a strv of at most CLOUDWATCH_ALARMS_MAX. */
int cloudwatch_alarms_start(AwsContext *aws, char *const *names, const HttpTimeouts *timeouts,
                            CloudWatchDone done, void *userdata, CloudWatchRequest **ret, Error *error);

typedef struct CloudWatchAlarm {
        const char *name;
        const char *state;  /* "OK", "ALARM", "INSUFFICIENT_DATA" */
        const char *reason; /* in CloudWatch's words; "" */
} CloudWatchAlarm;

/* In no order. Belong to the request. */
const CloudWatchAlarm *cloudwatch_request_alarms(const CloudWatchRequest *request, size_t *ret_n);
