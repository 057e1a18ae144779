#pragma once

/* The checks of `muster doctor`, one file for each of what they look at; doctor_command.c puts them in order. What is looked at
 * is looked at as musterd would, and nothing is changed: requests that would change something are made so that they must fail
 * for another reason than a missing permission. */

#include "agent/cli/doctor_report.h"
#include "agent/config.h"
#include "agent/identity.h"
#include "agent/net/aws.h"

typedef struct Doctor {
        sd_event *event;
        const char *config_path;
        DoctorReport *report;
        Config *config;    /* defaults where it cannot be read */
        AwsContext *aws;   /* NULL: no AWS is needed, or cannot be used */
        Identity identity; /* what is known of it */
        bool knows_identity;

        /* Of the operation under way. */
        bool done;
        int result;
        Error error;
} Doctor;

/* Runs the event loop until an operation that was started with RESULT 0 has ended; its result, or RESULT. */
int doctor_wait(Doctor *doctor, int result);

/* For the callback of such an operation. */
void doctor_done(Doctor *doctor, int result, const Error *error);

/* doctor_host.c */
void doctor_check_config(Doctor *doctor);
void doctor_check_trust_root(Doctor *doctor);
void doctor_check_systemd(Doctor *doctor);
void doctor_check_musterd(Doctor *doctor);
void doctor_check_unpacker(Doctor *doctor);
void doctor_check_disk(Doctor *doctor);
void doctor_check_codedeploy(Doctor *doctor); /* says nothing unless its agent is there as well */

/* doctor_aws.c */
void doctor_check_metadata(Doctor *doctor);
void doctor_check_credentials(Doctor *doctor);
void doctor_check_identity(Doctor *doctor);

/* doctor_depot.c */
void doctor_check_depot(Doctor *doctor);

/* doctor_services.c */
void doctor_check_queue(Doctor *doctor);
void doctor_check_auto_scaling(Doctor *doctor);
void doctor_check_alarms(Doctor *doctor);

/* doctor_balancer.c */
void doctor_check_balancer(Doctor *doctor);
