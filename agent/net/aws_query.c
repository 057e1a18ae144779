#include <string.h>

#include "agent/base/strv.h"
#include "agent/net/aws_query.h"
#include "agent/net/url.h"
#include "agent/net/xml.h"

static int make_form(const char *version, const char *action, const Buffer *parameters, Buffer *form) {
        int r;

        r = url_query_add(form, "Action", action);
        if (r >= 0)
                r = url_query_add(form, "Version", version);
        if (r >= 0 && parameters && parameters->size > 0)
                r = buffer_printf(form, "&%s", buffer_string(parameters));
        return r;
}

int aws_query_start_in(AwsContext *aws, AwsService service, const char *region, const char *version,
                       const char *action, const Buffer *parameters, AwsDone done, void *userdata,
                       AwsCall **ret, Error *error) {
        static char content_type[] = "Content-Type: application/x-www-form-urlencoded; charset=utf-8";
        static char *const headers[] = { content_type, NULL };
        _cleanup_buffer_ Buffer form = {};
        AwsRequest request = {
                .service = service,
                .operation = action,
                .method = "POST",
                .region = region,
                .path = "/",
                .headers = headers,
                .response_limit = XML_SIZE_MAX,
        };

        if (make_form(version, action, parameters, &form) < 0)
                return error_oom(error);
        request.body.data = form.data;
        request.body.size = form.size;
        return aws_call_start(aws, &request, done, userdata, ret, error);
}

int aws_query_start(AwsContext *aws, AwsService service, const char *version, const char *action,
                    const Buffer *parameters, AwsDone done, void *userdata, AwsCall **ret, Error *error) {
        return aws_query_start_in(aws, service, NULL, version, action, parameters, done, userdata, ret,
                                  error);
}

#define ACTION_MAX 64 /* of a name with "Response" or "Result" behind it */

int aws_query_check_answer(const AwsCall *call, const char *action, Error *error) {
        const Buffer *body = aws_call_body(call);
        _cleanup_(xml_freep) XmlElement *root = NULL;
        char response[ACTION_MAX], result[ACTION_MAX];
        int r;

        r = xml_parse(buffer_string(body), body->size, &root, error);
        if (r < 0)
                return r;
        (void) snprintf(response, sizeof(response), "%sResponse", action);
        (void) snprintf(result, sizeof(result), "%sResult", action);
        if (strcmp(root->name, response) == 0 || xml_find(root, result))
                return 0;
        return error_set_fault(error, -EBADMSG, FAULT_HOST, "expected %s, but the answer is a %.32s",
                               response, root->name);
}
