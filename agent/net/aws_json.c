#include <string.h>

#include "agent/net/aws_json.h"

#define HEADER_MAX 128

int aws_json_start(AwsContext *aws, const AwsJson *json, const json_t *input, AwsDone done, void *userdata,
                   AwsCall **ret, Error *error) {
        static char query_mode[] = "x-amzn-query-mode: true";
        char content_type[HEADER_MAX], target[HEADER_MAX];
        char *const headers[] = { content_type, target, query_mode, NULL };
        _cleanup_free_ char *body = json_dumps(input, JSON_COMPACT);
        AwsRequest request = {
                .service = json->service,
                .operation = json->operation,
                .method = "POST",
                .region = json->region,
                .path = "/",
                .headers = headers,
                .timeouts = json->timeouts,
                .response_limit = json->response_limit,
        };

        if (!body)
                return error_oom(error);
        snprintf(content_type, sizeof(content_type), "Content-Type: application/x-amz-json-%s",
                 json->version);
        snprintf(target, sizeof(target), "X-Amz-Target: %s.%s", json->target, json->operation);
        request.body.data = body;
        request.body.size = strlen(body);
        return aws_call_start(aws, &request, done, userdata, ret, error);
}

int aws_json_answer(const AwsCall *call, json_t **ret, Error *error) {
        const Buffer *body = aws_call_body(call);
        json_auto_t *answer = NULL;
        const char *code;

        answer = body->size == 0 ? json_object()
                                 : json_loadb(buffer_string(body), body->size, JSON_REJECT_DUPLICATES, NULL);
        if (!json_is_object(answer))
                return error_set_fault(error, -EBADMSG, FAULT_HOST, "an answer that is no JSON object");
        code = json_string_value(json_object_get(answer, "__type"));
        if (code)
                return error_set_fault(error, -EBADMSG, FAULT_HOST, "%.128s in an answer of success", code);
        *ret = json_incref(answer);
        return 0;
}
