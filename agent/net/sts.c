#include "agent/net/sts.h"
#include "agent/net/aws_query.h"
#include "agent/net/xml.h"

#define VERSION "2011-06-15"

struct StsRequest {
        AwsCall *call;
        XmlElement *answer;
        StsIdentity identity;
        StsDone done;
        void *userdata;
};

static int take_identity(StsRequest *request, Error *error) {
        const Buffer *body = aws_call_body(request->call);
        const XmlElement *result;
        int r;

        r = xml_parse(buffer_string(body), body->size, &request->answer, error);
        if (r < 0) {
                error_prefix(error, "STS GetCallerIdentity");
                return r;
        }
        result = xml_find(request->answer, "GetCallerIdentityResult");
        request->identity = (StsIdentity){
                .account = xml_text(result, "Account"),
                .arn = xml_text(result, "Arn"),
                .user_id = xml_text(result, "UserId"),
        };
        if (!request->identity.account || !request->identity.arn || !request->identity.user_id)
                return error_set_fault(error, -EBADMSG, FAULT_HOST,
                                       "STS GetCallerIdentity: an answer without Account, Arn or UserId");
        return 0;
}

static void on_answer(_unused_ AwsCall *call, int result, const Error *call_error, void *userdata) {
        StsRequest *request = userdata;
        Error error = *call_error;

        if (result == 0)
                result = take_identity(request, &error);
        request->done(request, result, &error, request->userdata);
}

int sts_get_caller_identity_start(AwsContext *aws, StsDone done, void *userdata, StsRequest **ret,
                                  Error *error) {
        _cleanup_(sts_request_freep) StsRequest *request = NULL;
        int r;

        request = malloc(sizeof(*request));
        if (!request)
                return error_oom(error);
        *request = (StsRequest){ .done = done, .userdata = userdata };
        r = aws_query_start(aws, AWS_STS, VERSION, "GetCallerIdentity", NULL, on_answer, request,
                            &request->call, error);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(request);
        return 0;
}

StsRequest *sts_request_free(StsRequest *request) {
        if (!request)
                return NULL;
        aws_call_free(request->call);
        xml_free(request->answer);
        free(request);
        return NULL;
}

const StsIdentity *sts_request_identity(const StsRequest *request) {
        return &request->identity;
}
