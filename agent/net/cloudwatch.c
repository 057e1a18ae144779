#include "agent/net/cloudwatch.h"
#include "agent/base/strv.h"
#include "agent/net/aws_json.h"

struct CloudWatchRequest {
        AwsCall *call;
        json_t *answer; /* what the alarms point into */
        CloudWatchAlarm alarms[CLOUDWATCH_ALARMS_MAX];
        size_t n;
        CloudWatchDone done;
        void *userdata;
};

CloudWatchRequest *cloudwatch_request_free(CloudWatchRequest *request) {
        if (!request)
                return NULL;
        aws_call_free(request->call);
        json_decref(request->answer);
        free(request);
        return NULL;
}

static int refuse(Error *error, const char *what) {
        return error_set_fault(error, -EBADMSG, FAULT_HOST, "an answer with %s", what);
}

static int take_alarms(CloudWatchRequest *request, const char *kind, Error *error) {
        const json_t *list = json_object_get(request->answer, kind), *item;
        size_t i;

        if (list && !json_is_null(list) && !json_is_array(list))
                return refuse(error, "something else than a list of alarms");
        json_array_foreach((json_t *) list, i, item) {
                CloudWatchAlarm alarm = {
                        .name = json_string_value(json_object_get(item, "AlarmName")),
                        .state = json_string_value(json_object_get(item, "StateValue")),
                        .reason = json_string_value(json_object_get(item, "StateReason")) ?: "",
                };

                if (!alarm.name || !alarm.state)
                        return refuse(error, "an alarm without AlarmName or StateValue");
                if (request->n == CLOUDWATCH_ALARMS_MAX)
                        return refuse(error, "more alarms than were asked for");
                request->alarms[request->n++] = alarm;
        }
        return 0;
}

static void on_answer(AwsCall *call, int result, const Error *call_error, void *userdata) {
        CloudWatchRequest *request = userdata;
        Error error = *call_error;

        if (result == 0) {
                result = aws_json_answer(call, &request->answer, &error);
                if (result == 0)
                        result = take_alarms(request, "MetricAlarms", &error);
                if (result == 0)
                        result = take_alarms(request, "CompositeAlarms", &error);
                if (result < 0)
                        error_prefix(&error, "CloudWatch DescribeAlarms");
        }
        request->done(request, result, &error, request->userdata);
}

/* Without AlarmTypes only metric alarms are told of. */
static json_t *make_input(char *const *names) {
        json_auto_t *list = json_array();

        STRV_FOREACH(name, names)
                if (json_array_append_new(list, json_string(*name)) < 0)
                        return NULL;
        return json_pack("{s:O, s:[ss], s:i}", "AlarmNames", list, "AlarmTypes", "MetricAlarm",
                         "CompositeAlarm", "MaxRecords", (int) CLOUDWATCH_ALARMS_MAX);
}

int cloudwatch_alarms_start(AwsContext *aws, char *const *names, const HttpTimeouts *timeouts,
                            CloudWatchDone done, void *userdata, CloudWatchRequest **ret, Error *error) {
        _cleanup_(cloudwatch_request_freep) CloudWatchRequest *request = calloc(1, sizeof(*request));
        json_auto_t *input = make_input(names);
        AwsJson json = {
                .service = AWS_CLOUDWATCH,
                .version = "1.0",
                .target = "GraniteServiceVersion20100801",
                .operation = "DescribeAlarms",
        };
        int r;

        if (!request || !input)
                return error_oom(error);
        if (timeouts)
                json.timeouts = *timeouts;
        request->done = done;
        request->userdata = userdata;
        r = aws_json_start(aws, &json, input, on_answer, request, &request->call, error);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(request);
        return 0;
}

const CloudWatchAlarm *cloudwatch_request_alarms(const CloudWatchRequest *request, size_t *ret_n) {
        *ret_n = request->n;
        return request->alarms;
}
