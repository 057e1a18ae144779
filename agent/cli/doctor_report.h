#pragma once

/* What `muster doctor` found, a line for each thing, printed as it is found; with --json all of it at the end. */

#include <jansson.h>

#include "agent/cli/cli.h"

typedef enum DoctorVerdict {
        DOCTOR_OK,
        DOCTOR_WARNING,   /* it works, but not as it should */
        DOCTOR_FAILED,    /* it does not work */
        DOCTOR_NOT_TRIED, /* it cannot be told without changing something, or something before it failed */
        DOCTOR_VERDICT_MAX,
} DoctorVerdict;

typedef struct DoctorReport {
        const Cli *cli;
        json_t *checks; /* NULL: memory ran out */
        unsigned counts[DOCTOR_VERDICT_MAX];
} DoctorReport;

int doctor_report_init(DoctorReport *report, const Cli *cli);
void doctor_report_deinit(DoctorReport *report);

/* NAME is a word or two ("s3:GetObject"); the text is one sentence; ADVICE, which may be NULL, says what to do about it. */
void doctor_say(DoctorReport *report, DoctorVerdict verdict, const char *name, const char *advice,
                const char *format, ...) _printf_(5, 6);

/* The sum, for people, or the whole as JSON. */
int doctor_report_end(DoctorReport *report, Error *error);
