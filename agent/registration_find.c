#include <string.h>

#include "agent/base/strv.h"
#include "agent/net/autoscaling.h"
#include "agent/net/elb.h"
#include "agent/registration_find.h"

struct RegistrationFind {
        RegistrationFindContext context;
        RegistrationFindDone done;
        void *userdata;
        AutoScalingRequest *scaling;
        ElbRequest *elb;
        char **arns;
        size_t next; /* of arns */
        TargetRegistrations found, draining;
};

static void end(RegistrationFind *find, int result, const Error *error) {
        find->done(find, result, error, find->userdata);
}

static int ask_next(RegistrationFind *find, Error *error);

/* RESULT as ask_next() returns it. */
static void go_on(RegistrationFind *find, int result, const Error *error) {
        static const Error none = {};

        if (result <= 0)
                end(find, result, result < 0 ? error : &none);
}

/* Where it belongs; NULL: an unregistered target is not listed, one that was just deregistered may be. */
static TargetRegistrations *list_of(RegistrationFind *find, const ElbTargetHealth *target) {
        if (strcmp(target->reason, "Target.NotRegistered") == 0)
                return NULL;
        return target->state == ELB_TARGET_DRAINING ? &find->draining : &find->found;
}

static int take_health(RegistrationFind *find, const ElbHealth *health) {
        int r = 0;

        for (size_t i = 0; i < health->n && r >= 0; i++) {
                const ElbTargetHealth *target = &health->targets[i];
                TargetRegistrations *list =
                        strcmp(target->id, find->context.instance) == 0 ? list_of(find, target) : NULL;

                if (list)
                        r = target_registrations_add(list, find->arns[find->next], target->port);
        }
        return r;
}

static void on_health(ElbRequest *request, int result, const Error *error, void *userdata) {
        RegistrationFind *find = userdata;
        Error problem = *error;

        if (result == 0 && take_health(find, elb_request_health(request)) < 0)
                result = error_set_fault(&problem, -E2BIG, FAULT_HOST,
                                         "instance %s is registered in target groups more than %u times",
                                         find->context.instance, TARGET_REGISTRATIONS_MAX);
        if (result == ELB_NO_TARGET_GROUP) /* deleted since it was named */
                result = 0;
        find->next++;
        if (result == 0)
                result = ask_next(find, &problem);
        go_on(find, result, &problem);
}

/* 1 if there is something to wait for, 0 at the end, or a negative errno. Every target of the group is asked for: a request
 * that names no port means one port only. */
static int ask_next(RegistrationFind *find, Error *error) {
        int r;

        if (!find->arns || !find->arns[find->next])
                return 0;
        find->elb = elb_request_free(find->elb);
        r = elb_describe_health_start(find->context.aws, find->arns[find->next], NULL, 0, on_health, find,
                                      &find->elb, error);
        return r < 0 ? r : 1;
}

static void on_group(AutoScalingRequest *request, int result, const Error *error, void *userdata) {
        RegistrationFind *find = userdata;
        const AutoScalingGroup *group = autoscaling_request_group(request);
        Error problem = *error;

        if (result == 0 && group)
                STRV_FOREACH(arn, group->target_groups)
                        if (result == 0 && strv_append(&find->arns, *arn) < 0)
                                result = error_oom(&problem);
        if (result == 0)
                result = ask_next(find, &problem);
        go_on(find, result, &problem);
}

static int ask_group(RegistrationFind *find, const char *group, Error *error) {
        AutoScalingRequest *before = TAKE_PTR(find->scaling); /* GROUP may be of its answer */
        int r;

        r = autoscaling_describe_group_start(find->context.aws, group, on_group, find, &find->scaling, error);
        autoscaling_request_free(before);
        return r < 0 ? r : 1;
}

static void on_instance(AutoScalingRequest *request, int result, const Error *error, void *userdata) {
        RegistrationFind *find = userdata;
        const AutoScalingInstance *instances;
        Error problem = *error;
        size_t n;

        instances = autoscaling_request_instances(request, &n);
        if (result == 0 && n > 0)
                result = ask_group(find, instances[0].group, &problem);
        go_on(find, result, &problem);
}

static int ask_scaling(RegistrationFind *find, Error *error) {
        char *const ids[] = { (char *) find->context.instance, NULL };
        int r;

        if (find->context.scaling_group)
                return ask_group(find, find->context.scaling_group, error);
        r = autoscaling_describe_instances_start(find->context.aws, ids, on_instance, find, &find->scaling,
                                                 error);
        return r < 0 ? r : 1;
}

static void on_names(ElbRequest *request, int result, const Error *error, void *userdata) {
        RegistrationFind *find = userdata;
        const ElbTargetGroups *groups = elb_request_groups(request);
        Error problem = *error;

        for (size_t i = 0; i < groups->n && result == 0; i++)
                if (strv_append(&find->arns, groups->groups[i].arn) < 0)
                        result = error_oom(&problem);
        if (result == ELB_NO_TARGET_GROUP) { /* the operator's word, unlike a group that Auto Scaling names */
                result = -ENOENT;
                error_blame(&problem, FAULT_INPUT);
        }
        if (result == 0)
                result = ask_next(find, &problem);
        go_on(find, result, &problem);
}

/* ARNs are taken as they are, names are asked for. */
static int ask_configured(RegistrationFind *find, Error *error) {
        _cleanup_strv_ char **names = NULL, **configured = NULL;
        int r;

        r = strv_split(find->context.target_groups, " \t", &configured);
        STRV_FOREACH(s, configured)
                if (r >= 0)
                        r = strv_append(elb_is_target_group_arn(*s) ? &find->arns : &names, *s);
        if (r < 0)
                return error_oom(error);
        if (!names)
                return ask_next(find, error);
        r = elb_describe_groups_start(find->context.aws, names, on_names, find, &find->elb, error);
        return r < 0 ? r : 1;
}

int registration_find_start(const RegistrationFindContext *context, RegistrationFindDone done, void *userdata,
                            RegistrationFind **ret, Error *error) {
        _cleanup_(registration_find_freep) RegistrationFind *find = calloc(1, sizeof(*find));
        int r;

        if (!find)
                return error_oom(error);
        find->context = *context;
        find->done = done;
        find->userdata = userdata;
        r = context->target_groups ? ask_configured(find, error) : ask_scaling(find, error);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(find);
        return 0;
}

const TargetRegistrations *registration_find_found(const RegistrationFind *find) {
        return &find->found;
}

const TargetRegistrations *registration_find_draining(const RegistrationFind *find) {
        return &find->draining;
}

RegistrationFind *registration_find_free(RegistrationFind *find) {
        if (!find)
                return NULL;
        autoscaling_request_free(find->scaling);
        elb_request_free(find->elb);
        strv_free(find->arns);
        target_registrations_deinit(&find->found);
        target_registrations_deinit(&find->draining);
        free(find);
        return NULL;
}
