#include "agent/net/elb.h"
#include "agent/base/strv.h"
#include "agent/net/aws_query.h"
#include "agent/net/url.h"

#define VERSION "2015-12-01"

struct ElbRequest {
        AwsCall *call;
        const char *action;
        int (*take)(ElbRequest *request, Error *error); /* NULL: the answer says nothing */
        ElbHealth health;
        ElbTargetGroups groups;
        ElbDone done;
        void *userdata;
};

ElbRequest *elb_request_free(ElbRequest *request) {
        if (!request)
                return NULL;
        aws_call_free(request->call);
        elb_health_deinit(&request->health);
        elb_target_groups_deinit(&request->groups);
        free(request);
        return NULL;
}

static bool is_no_group(const AwsError *refusal) {
        return refusal && string_equal(refusal->code, "TargetGroupNotFound");
}

static void on_answer(AwsCall *call, int result, const Error *call_error, void *userdata) {
        ElbRequest *request = userdata;
        Error error = *call_error;

        if (result == 0) {
                result = aws_query_check_answer(call, request->action, &error);
                if (result == 0 && request->take)
                        result = request->take(request, &error);
        } else if (is_no_group(aws_call_error(call)))
                result = ELB_NO_TARGET_GROUP;
        if (result == -EBADMSG)
                error_prefix(&error, "Elastic Load Balancing %s", request->action);
        request->done(request, result, &error, request->userdata);
}

static int start(AwsContext *aws, const char *action, const Buffer *parameters,
                 int (*take)(ElbRequest *, Error *), ElbDone done, void *userdata, ElbRequest **ret,
                 Error *error) {
        _cleanup_(elb_request_freep) ElbRequest *request = calloc(1, sizeof(*request));
        int r;

        if (!request)
                return error_oom(error);
        request->action = action;
        request->take = take;
        request->done = done;
        request->userdata = userdata;
        r = aws_query_start(aws, AWS_ELB, VERSION, action, parameters, on_answer, request, &request->call,
                            error);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(request);
        return 0;
}

static int add_targets(const char *arn, const ElbTarget *targets, size_t n, Buffer *parameters,
                       Error *error) {
        int r;

        if (n > ELB_TARGETS_MAX)
                return error_set(error, -EINVAL, "%zu targets, expected at most %u", n, ELB_TARGETS_MAX);
        r = url_query_add(parameters, "TargetGroupArn", arn);
        for (size_t i = 0; i < n && r >= 0; i++) {
                char name[64];

                snprintf(name, sizeof(name), "Targets.member.%zu.Id", i + 1);
                r = url_query_add(parameters, name, targets[i].id);
                snprintf(name, sizeof(name), "Targets.member.%zu.Port", i + 1);
                if (r >= 0 && targets[i].port > 0)
                        r = url_query_addf(parameters, name, "%u", targets[i].port);
        }
        return r < 0 ? error_oom(error) : 0;
}

static int start_targets(AwsContext *aws, const char *action, const char *arn, const ElbTarget *targets,
                         size_t n, int (*take)(ElbRequest *, Error *), ElbDone done, void *userdata,
                         ElbRequest **ret, Error *error) {
        _cleanup_buffer_ Buffer parameters = {};
        int r;

        r = add_targets(arn, targets, n, &parameters, error);
        return r < 0 ? r : start(aws, action, &parameters, take, done, userdata, ret, error);
}

static int take_health(ElbRequest *request, Error *error) {
        const Buffer *body = aws_call_body(request->call);

        return elb_health_parse(buffer_string(body), body->size, &request->health, error);
}

int elb_describe_health_start(AwsContext *aws, const char *arn, const ElbTarget *targets, size_t n_targets,
                              ElbDone done, void *userdata, ElbRequest **ret, Error *error) {
        return start_targets(aws, "DescribeTargetHealth", arn, targets, n_targets, take_health, done,
                             userdata, ret, error);
}

int elb_register_start(AwsContext *aws, const char *arn, const ElbTarget *targets, size_t n_targets,
                       ElbDone done, void *userdata, ElbRequest **ret, Error *error) {
        return start_targets(aws, "RegisterTargets", arn, targets, n_targets, NULL, done, userdata, ret,
                             error);
}

int elb_deregister_start(AwsContext *aws, const char *arn, const ElbTarget *targets, size_t n_targets,
                         ElbDone done, void *userdata, ElbRequest **ret, Error *error) {
        return start_targets(aws, "DeregisterTargets", arn, targets, n_targets, NULL, done, userdata, ret,
                             error);
}

static int take_groups(ElbRequest *request, Error *error) {
        const Buffer *body = aws_call_body(request->call);

        return elb_target_groups_parse(buffer_string(body), body->size, &request->groups, error);
}

int elb_describe_groups_start(AwsContext *aws, char *const *names, ElbDone done, void *userdata,
                              ElbRequest **ret, Error *error) {
        _cleanup_buffer_ Buffer parameters = {};
        size_t n = strv_length(names);
        int r = 0;

        if (n == 0 || n > ELB_NAMES_MAX)
                return error_set(error, -EINVAL, "%zu target groups, expected 1 to %u", n, ELB_NAMES_MAX);
        for (size_t i = 0; i < n && r >= 0; i++) {
                char name[32];

                snprintf(name, sizeof(name), "Names.member.%zu", i + 1);
                r = url_query_add(&parameters, name, names[i]);
        }
        if (r < 0)
                return error_oom(error);
        return start(aws, "DescribeTargetGroups", &parameters, take_groups, done, userdata, ret, error);
}

const ElbHealth *elb_request_health(const ElbRequest *request) {
        return &request->health;
}

const ElbTargetGroups *elb_request_groups(const ElbRequest *request) {
        return &request->groups;
}
