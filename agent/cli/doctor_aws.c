#include <string.h>

#include "agent/base/strv.h"
#include "agent/cli/doctor_checks.h"
#include "agent/net/sts.h"

static void on_metadata(_unused_ ImdsRequest *request, int result, const Error *error, void *userdata) {
        doctor_done(userdata, result, error);
}

void doctor_check_metadata(Doctor *doctor) {
        _cleanup_(imds_request_freep) ImdsRequest *request = NULL;
        const Imds *imds = aws_context_imds(doctor->aws);
        int r;

        r = imds_get_start(aws_context_imds(doctor->aws), "meta-data/instance-id", on_metadata, doctor,
                           &request, &doctor->error);
        if (r == -EOPNOTSUPP) {
                doctor_say(doctor->report, DOCTOR_NOT_TRIED, "metadata", NULL, "%s", doctor->error.message);
                return;
        }
        r = doctor_wait(doctor, r);
        if (r == 0)
                doctor_say(doctor->report, DOCTOR_OK, "metadata", NULL, "%s, from %s",
                           imds_request_value(request), imds_endpoint(imds));
        else if (r == IMDS_ABSENT)
                doctor_say(doctor->report, DOCTOR_WARNING, "metadata", NULL, "%s has no instance id",
                           imds_endpoint(imds));
        else
                doctor_say(
                        doctor->report, DOCTOR_WARNING, "metadata",
                        "on EC2: turn IMDSv2 on for the instance, with a hop limit of 2 in a container; elsewhere say "
                        "AWS_EC2_METADATA_DISABLED=true and [agent] instance_id",
                        "%s: %s", imds_endpoint(imds), doctor->error.message);
}

static void on_credentials(_unused_ CredentialRequest *request, int result, const Error *error,
                           void *userdata) {
        doctor_done(userdata, result, error);
}

static void on_caller(_unused_ StsRequest *request, int result, const Error *error, void *userdata) {
        doctor_done(userdata, result, error);
}

/* Who they are is worth a warning only: reports then go by the instance's id. */
static void check_caller(Doctor *doctor) {
        _cleanup_(sts_request_freep) StsRequest *request = NULL;
        int r;

        r = doctor_wait(doctor, sts_get_caller_identity_start(doctor->aws, on_caller, doctor, &request,
                                                              &doctor->error));
        if (r < 0)
                doctor_say(
                        doctor->report, DOCTOR_WARNING, "sts:GetCallerIdentity",
                        "make a way to STS (a VPC endpoint, a proxy): reports are named after aws:userid, which it tells",
                        "%s", doctor->error.message);
        else
                doctor_say(doctor->report, DOCTOR_OK, "sts:GetCallerIdentity", NULL, "%s, aws:userid %s",
                           sts_request_identity(request)->arn, sts_request_identity(request)->user_id);
}

void doctor_check_credentials(Doctor *doctor) {
        CredentialChain *chain = aws_context_credentials(doctor->aws);
        _cleanup_(credential_request_freep) CredentialRequest *request = NULL;
        int r;

        r = doctor_wait(doctor, credentials_start(chain, on_credentials, doctor, &request, &doctor->error));
        if (r < 0) {
                doctor_say(doctor->report, DOCTOR_FAILED, "credentials",
                           "give the instance a role (an instance profile), or see muster.conf(5)", "%s",
                           doctor->error.message);
                return;
        }
        doctor_say(doctor->report, DOCTOR_OK, "credentials", NULL, "from %s", credentials_source(chain));
        check_caller(doctor);
}

static void on_identified(_unused_ Identify *identify, int result, const Error *error, void *userdata) {
        doctor_done(userdata, result, error);
}

void doctor_check_identity(Doctor *doctor) {
        _cleanup_(identify_freep) Identify *identify = NULL;
        int r;

        r = doctor_wait(doctor, identify_start(doctor->event, doctor->config, doctor->aws, on_identified,
                                               doctor, &identify, &doctor->error));
        if (r < 0) {
                doctor_say(doctor->report, DOCTOR_FAILED, "identity",
                           "give [agent] group and instance_id, or see there", "%s", doctor->error.message);
                return;
        }
        doctor->identity = identify_take(identify);
        doctor->knows_identity = true;
        doctor_say(doctor->report, DOCTOR_OK, "identity", NULL, "instance %s of group %s, reports as %s",
                   doctor->identity.instance, doctor->identity.group, doctor->identity.report_id);
}
