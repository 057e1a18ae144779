#include "agent/cli/doctor_checks.h"
#include "agent/net/elb.h"
#include "agent/registration_find.h"

#define NO_INSTANCE "i-00000000000000000"
#define ADVICE_MAX 512U

static void on_found(_unused_ RegistrationFind *find, int result, const Error *error, void *userdata) {
        doctor_done(userdata, result, error);
}

static void on_elb(_unused_ ElbRequest *request, int result, const Error *error, void *userdata) {
        doctor_done(userdata, result, error);
}

typedef int (*ElbStart)(AwsContext *aws, const char *arn, const ElbTarget *targets, size_t n_targets,
                        ElbDone done, void *userdata, ElbRequest **ret, Error *error);

/* An instance that there is not: to register it is refused as an invalid target, and to deregister what is not registered is
 * answered as if it had been ("DeregisterTargets" in the reference of Elastic Load Balancing). */
static void check_change(Doctor *doctor, const char *name, ElbStart start, const TargetRegistration *as) {
        const ElbTarget target = { .id = NO_INSTANCE, .port = as->port };
        _cleanup_(elb_request_freep) ElbRequest *request = NULL;
        char advice[ADVICE_MAX];
        int r;

        r = doctor_wait(doctor,
                        start(doctor->aws, as->arn, &target, 1, on_elb, doctor, &request, &doctor->error));
        snprintf(advice, sizeof(advice), "allow elasticloadbalancing:%s on %s", name, as->arn);
        if (r >= 0 || r == -EREMOTEIO)
                doctor_say(doctor->report, DOCTOR_OK, name, NULL, "%s", as->arn);
        else
                doctor_say(doctor->report, DOCTOR_FAILED, name, r == -EACCES ? advice : NULL, "%s",
                           doctor->error.message);
}

/* With an endpoint of one's own it is not known whether such a target would be refused. */
static void check_changes(Doctor *doctor, const TargetRegistrations *registrations) {
        if (registrations->n > 0 && aws_context_endpoints(doctor->aws)->urls[AWS_ELB])
                doctor_say(doctor->report, DOCTOR_NOT_TRIED, "RegisterTargets", NULL,
                           "nor DeregisterTargets: AWS_ENDPOINT_URL leads to who might do it");
        else
                for (size_t i = 0; i < registrations->n; i++) {
                        check_change(doctor, "RegisterTargets", elb_register_start, &registrations->items[i]);
                        check_change(doctor, "DeregisterTargets", elb_deregister_start,
                                     &registrations->items[i]);
                }
}

void doctor_check_balancer(Doctor *doctor) {
        static const char advice[] =
                "allow autoscaling:DescribeAutoScalingGroups and elasticloadbalancing:DescribeTargetHealth "
                "on *, if an app says traffic: target-group";
        const RegistrationFindContext context = {
                .aws = doctor->aws,
                .target_groups = doctor->config->target_groups,
                .scaling_group = doctor->identity.scaling_group,
                .instance = doctor->identity.instance,
        };
        _cleanup_(registration_find_freep) RegistrationFind *find = NULL;
        size_t n;
        int r;

        r = doctor_wait(doctor, registration_find_start(&context, on_found, doctor, &find, &doctor->error));
        if (r < 0) {
                doctor_say(doctor->report, DOCTOR_WARNING, "DescribeTargetHealth",
                           r == -EACCES ? advice : NULL, "%s", doctor->error.message);
                return;
        }
        n = registration_find_found(find)->n;
        doctor_say(doctor->report, DOCTOR_OK, "DescribeTargetHealth", NULL,
                   "registered in %zu target group%s", n, n == 1 ? "" : "s");
        check_changes(doctor, registration_find_found(find));
}
