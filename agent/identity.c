#include <string.h>
#include <systemd/sd-id128.h>

#include "agent/base/clock.h"
#include "agent/base/parse.h"
#include "agent/base/strv.h"
#include "agent/identity.h"
#include "agent/net/autoscaling.h"
#include "agent/net/sts.h"
#include "artifacts/layout.h"

#define TAGS_PATH "meta-data/tags/instance/"
#define SCALING_GROUP_TAG "aws:autoscaling:groupName"

struct Identify {
        const Config *config;
        AwsContext *aws;
        IdentifyDone done;
        void *userdata;
        Identity identity;
        size_t question;               /* the one that is asked now */
        char doubt[ERROR_MESSAGE_MAX]; /* why STS did not say who we are, or "" */
        sd_event *event;
        sd_event_source *next;
        sd_event_source *patience; /* with STS */
        ImdsRequest *imds;
        AutoScalingRequest *scaling;
        StsRequest *sts;
};

void identity_deinit(Identity *identity) {
        free(identity->instance);
        free(identity->group);
        free(identity->scaling_group);
        free(identity->report_id);
        *identity = (Identity){};
}

bool identity_equal(const Identity *a, const Identity *b) {
        return string_equal(a->instance, b->instance) && string_equal(a->group, b->group) &&
               string_equal(a->scaling_group, b->scaling_group) && string_equal(a->report_id, b->report_id);
}

/* A question answers at once (ANSWERED), asks somebody (ASKED), or fails. */
#define ASKED 0
#define ANSWERED 1

static void answered(Identify *identify, int result, const Error *error) {
        if (result < 0) {
                identify->done(identify, result, error, identify->userdata);
                return;
        }
        identify->question++;
        (void) sd_event_source_set_enabled(identify->next, SD_EVENT_ONESHOT);
}

static int ask_imds(Identify *identify, const char *path, ImdsDone done, Error *error) {
        int r;

        identify->imds = imds_request_free(identify->imds);
        r = imds_get_start(aws_context_imds(identify->aws), path, done, identify, &identify->imds, error);
        return r < 0 ? r : ASKED;
}

static int read_machine_id(char **ret, Error *error) {
        char text[SD_ID128_STRING_MAX];
        sd_id128_t id;
        int r;

        r = sd_id128_get_machine(&id);
        if (r < 0)
                return error_set_errno(error, r,
                                       "this machine has no id; set instance_id in the configuration");
        return string_set(ret, sd_id128_to_string(id, text)) < 0 ? error_oom(error) : 0;
}

/* A group that is given by its name, and not to be asked for. */
static bool is_named(const char *group) {
        return name_is_valid(group) && strcmp(group, "auto-scaling-group") != 0;
}

int identity_local(const Config *config, Identity *ret, Error *error) {
        const char *group = config->group && is_named(config->group) ? config->group : IDENTITY_LOCAL_GROUP;
        Identity identity = {};
        int r = 0;

        if (config->instance_id)
                r = string_set(&identity.instance, config->instance_id);
        else
                r = read_machine_id(&identity.instance, error);
        if (r >= 0 && (string_set(&identity.group, group) < 0 ||
                       string_set(&identity.report_id, identity.instance) < 0))
                r = error_oom(error);
        if (r < 0)
                identity_deinit(&identity);
        else
                *ret = identity;
        return r;
}

static int take_machine_id(Identify *identify, Error *error) {
        int r = read_machine_id(&identify->identity.instance, error);

        return r < 0 ? r : ANSWERED;
}

static void on_instance(ImdsRequest *request, int result, const Error *error, void *userdata) {
        Identify *identify = userdata;
        Error problem = {};

        if (result == IMDS_ABSENT)
                result = error_set(&problem, -ENODATA, "the instance metadata have no instance-id");
        else if (result < 0)
                problem = *error;
        else if (!name_is_valid(imds_request_value(request)))
                result = error_set(&problem, -EBADMSG, "the instance metadata's instance-id is no name");
        else
                result = string_set(&identify->identity.instance, imds_request_value(request));
        answered(identify, result, &problem);
}

static int ask_instance(Identify *identify, Error *error) {
        int r;

        if (identify->config->instance_id) {
                r = string_set(&identify->identity.instance, identify->config->instance_id);
                return r < 0 ? error_oom(error) : ANSWERED;
        }
        if (!identify->aws)
                return take_machine_id(identify, error);
        r = ask_imds(identify, "meta-data/instance-id", on_instance, error);
        return r == -EOPNOTSUPP ? take_machine_id(identify, error) : r;
}

static void on_described(AutoScalingRequest *request, int result, const Error *error, void *userdata) {
        Identify *identify = userdata;
        const AutoScalingInstance *instances;
        size_t n;

        if (result >= 0) {
                instances = autoscaling_request_instances(request, &n);
                if (n > 0)
                        result = string_set(&identify->identity.scaling_group, instances[0].group);
        }
        answered(identify, result, error);
}

static void describe_instance(Identify *identify) {
        char *const ids[] = { identify->identity.instance, NULL };
        Error error = {};
        int r;

        r = autoscaling_describe_instances_start(identify->aws, ids, on_described, identify,
                                                 &identify->scaling, &error);
        if (r < 0)
                answered(identify, r, &error);
}

/* Tags are offered by the metadata only if the instance was launched so; Auto Scaling knows in any case. */
static void on_scaling_tag(ImdsRequest *request, int result, _unused_ const Error *error, void *userdata) {
        Identify *identify = userdata;

        if (result == 0 && *imds_request_value(request))
                answered(identify, string_set(&identify->identity.scaling_group, imds_request_value(request)),
                         NULL);
        else
                describe_instance(identify);
}

static int ask_scaling_group(Identify *identify, Error *error) {
        const Config *config = identify->config;
        int r;

        if (config->launch_group) {
                r = string_set(&identify->identity.scaling_group, config->launch_group);
                return r < 0 ? error_oom(error) : ANSWERED;
        }
        if (strcmp(config->group, "auto-scaling-group") != 0)
                return ANSWERED; /* the launch finds it out itself: no deployment waits for that */
        if (!identify->aws)
                return error_set_fault(
                        error, -EINVAL, FAULT_INPUT,
                        "group is auto-scaling-group, but this depot is not on AWS: set [agent] group");
        return ask_imds(identify, TAGS_PATH SCALING_GROUP_TAG, on_scaling_tag, error);
}

static int set_group(Identify *identify, const char *group, const char *where, Error *error) {
        if (!name_is_valid(group))
                return error_set_fault(error, -EINVAL, FAULT_INPUT,
                                       "%s is '%s', expected letters, digits, '.', '_' and '-'", where,
                                       group);
        return string_set(&identify->identity.group, group) < 0 ? error_oom(error) : ANSWERED;
}

static void on_group_tag(ImdsRequest *request, int result, const Error *error, void *userdata) {
        Identify *identify = userdata;
        const char *key = identify->config->group + strlen("tag:");
        char where[256];
        Error problem = {};

        snprintf(where, sizeof(where), "the instance's tag %s", key);
        if (result == IMDS_ABSENT)
                result = error_set_fault(
                        &problem, -ENODATA, FAULT_INPUT,
                        "the instance metadata have no tag %s: set it on the instance and allow tags in "
                        "instance metadata",
                        key);
        else if (result < 0)
                problem = *error;
        else
                result = set_group(identify, imds_request_value(request), where, &problem);
        answered(identify, result, &problem);
}

static int ask_group(Identify *identify, Error *error) {
        const char *group = identify->config->group;
        _cleanup_free_ char *path = NULL;

        if (string_starts_with(group, "tag:")) {
                if (!identify->aws)
                        return error_set_fault(error, -EINVAL, FAULT_INPUT,
                                               "group is %s, but this depot is not on AWS: set a name",
                                               group);
                if (asprintf(&path, TAGS_PATH "%s", group + strlen("tag:")) < 0) {
                        path = NULL;
                        return error_oom(error);
                }
                return ask_imds(identify, path, on_group_tag, error);
        }
        if (strcmp(group, "auto-scaling-group") != 0)
                return set_group(identify, group, "[agent] group", error);
        if (!identify->identity.scaling_group)
                return error_set(error, -ENODATA, "instance %s is in no Auto Scaling group",
                                 identify->identity.instance);
        return set_group(identify, identify->identity.scaling_group, "the Auto Scaling group's name", error);
}

static void go_by_instance_id(Identify *identify, const char *why) {
        snprintf(identify->doubt, sizeof(identify->doubt), "%s", why);
        answered(identify, string_set(&identify->identity.report_id, identify->identity.instance), NULL);
}

static void on_caller(StsRequest *request, int result, const Error *error, void *userdata) {
        Identify *identify = userdata;
        const char *id = identify->identity.instance;

        identify->patience = sd_event_source_unref(identify->patience);
        if (result < 0) {
                go_by_instance_id(identify, error->message);
                return;
        }
        if (layout_instance_is_valid(sts_request_identity(request)->user_id))
                id = sts_request_identity(request)->user_id;
        answered(identify, string_set(&identify->identity.report_id, id), NULL);
}

static int on_patience(_unused_ sd_event_source *source, _unused_ uint64_t usec, void *userdata) {
        Identify *identify = userdata;

        identify->sts = sts_request_free(identify->sts);
        go_by_instance_id(identify, "STS does not answer");
        return 0;
}

/* As EC2 names the session of an instance's role. */
static int name_session(Identify *identify, const char *role, Error *error) {
        Identity *identity = &identify->identity;

        if (asprintf(&identity->report_id, "%s:%s", role, identity->instance) < 0) {
                identity->report_id = NULL;
                return error_oom(error);
        }
        return ANSWERED;
}

/* No deployment waits for STS, which a subnet may not even have a way to. */
static int ask_report_id(Identify *identify, Error *error) {
        int r;

        if (!identify->aws) {
                r = string_set(&identify->identity.report_id, identify->identity.instance);
                return r < 0 ? error_oom(error) : ANSWERED;
        }
        if (identify->config->role_id)
                return name_session(identify, identify->config->role_id, error);
        r = sd_event_add_time_relative(identify->event, &identify->patience, CLOCK_BOOTTIME, IDENTITY_STS_MAX,
                                       TIMER_ACCURACY_EXACT, on_patience, identify);
        if (r < 0)
                return error_set_errno(error, r, "cannot use the event loop");
        r = sts_get_caller_identity_start(identify->aws, on_caller, identify, &identify->sts, error);
        return r < 0 ? r : ASKED;
}

static int (*const questions[])(Identify *, Error *) = { ask_instance, ask_scaling_group, ask_group,
                                                         ask_report_id };

static int ask_next(_unused_ sd_event_source *source, void *userdata) {
        Identify *identify = userdata;
        Error error = {};
        int r;

        if (identify->question == ELEMENTSOF(questions)) {
                identify->done(identify, 0, NULL, identify->userdata);
                return 0;
        }
        r = questions[identify->question](identify, &error);
        if (r != ASKED)
                answered(identify, r < 0 ? r : 0, &error);
        return 0;
}

int identify_start(sd_event *event, const Config *config, AwsContext *aws, IdentifyDone done, void *userdata,
                   Identify **ret, Error *error) {
        _cleanup_(identify_freep) Identify *identify = NULL;
        int r;

        identify = malloc(sizeof(*identify));
        if (!identify)
                return error_oom(error);
        *identify = (Identify){
                .config = config,
                .aws = aws,
                .event = event,
                .done = done,
                .userdata = userdata,
        };
        r = sd_event_add_defer(event, &identify->next, ask_next, identify);
        if (r < 0)
                return error_set_errno(error, r, "cannot use the event loop");
        *ret = TAKE_PTR(identify);
        return 0;
}

const char *identify_doubt(const Identify *identify) {
        return identify->doubt[0] ? identify->doubt : NULL;
}

Identity identify_take(Identify *identify) {
        Identity identity = identify->identity;

        identify->identity = (Identity){};
        return identity;
}

Identify *identify_free(Identify *identify) {
        if (!identify)
                return NULL;
        sd_event_source_unref(identify->next);
        sd_event_source_unref(identify->patience);
        imds_request_free(identify->imds);
        autoscaling_request_free(identify->scaling);
        sts_request_free(identify->sts);
        identity_deinit(&identify->identity);
        free(identify);
        return NULL;
}
