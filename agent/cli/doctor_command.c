#include "agent/cli/doctor_command.h"
#include <syslog.h>

#include "agent/base/log.h"
#include "agent/cli/doctor_checks.h"
#include "agent/cli/doctor_environment.h"
#include "agent/config_aws.h"

typedef struct DoctorValues {
        const char *config;
        const char *environment;
} DoctorValues;

static const Option doctor_options[] = {
        { .name = "config",
          .type = OPTION_PATH,
          OPTION_INTO(DoctorValues, config),
          .value = "FILE",
          .help = "musterd's configuration",
          .initial = CONFIG_PATH },
        { .name = "environment",
          .type = OPTION_PATH,
          OPTION_INTO(DoctorValues, environment),
          .value = "FILE",
          .help = "musterd's environment: credentials, proxies",
          .initial = DOCTOR_ENVIRONMENT },
        OPTION_END,
};

void doctor_done(Doctor *doctor, int result, const Error *error) {
        doctor->done = true;
        doctor->result = result;
        if (result < 0)
                doctor->error = *error;
}

int doctor_wait(Doctor *doctor, int result) {
        doctor->done = false;
        if (result < 0)
                return result;
        while (!doctor->done) {
                result = sd_event_run(doctor->event, UINT64_MAX);
                if (result < 0)
                        return error_set_errno(&doctor->error, result, "cannot wait");
        }
        return doctor->result;
}

/* What only root can read is looked for by root alone; others see what they can. */
static void enter_environment(Doctor *doctor, const char *path) {
        Error error = {};
        int r;

        r = doctor_environment_enter(path, &error);
        if (r < 0 && r != -ENOENT)
                doctor_say(doctor->report, DOCTOR_WARNING, "environment",
                           "run it as root: sudo muster doctor", "%s", error.message);
}

static void check_aws(Doctor *doctor) {
        const char *depot = doctor->config->depot;
        Error error = {};

        if (!depot)
                return;
        if (config_aws_open(doctor->config, depot, doctor->event, &doctor->aws, &error) < 0) {
                doctor_say(doctor->report, DOCTOR_FAILED, "AWS", NULL, "%s", error.message);
                return;
        }
        if (doctor->aws) {
                doctor_check_metadata(doctor);
                doctor_check_credentials(doctor);
        }
        doctor_check_identity(doctor);
        doctor_check_depot(doctor);
        if (doctor->aws && doctor->knows_identity) {
                doctor_check_queue(doctor);
                doctor_check_auto_scaling(doctor);
                doctor_check_balancer(doctor);
                doctor_check_alarms(doctor);
        }
}

static void examine(Doctor *doctor, const char *environment) {
        enter_environment(doctor, environment);
        doctor_check_config(doctor);
        if (!doctor->config)
                return;
        doctor_check_trust_root(doctor);
        doctor_check_systemd(doctor);
        doctor_check_musterd(doctor);
        doctor_check_unpacker(doctor);
        doctor_check_disk(doctor);
        doctor_check_codedeploy(doctor);
        check_aws(doctor);
}

static int run_doctor(Cli *cli, void *values, _unused_ char **arguments, Error *error) {
        const DoctorValues *options = values;
        DoctorReport report;
        Doctor doctor = { .config_path = options->config, .report = &report };
        int r;

        r = sd_event_new(&doctor.event);
        if (r < 0)
                return error_set_errno(error, r, "cannot make an event loop");
        r = doctor_report_init(&report, cli) < 0 ? error_oom(error) : 0;
        if (!cli->verbose)
                log_set_max_priority(LOG_WARNING); /* what is found is said by doctor itself */
        if (r >= 0) {
                examine(&doctor, options->environment);
                r = doctor_report_end(&report, error);
        }
        if (r >= 0 && report.counts[DOCTOR_FAILED] > 0)
                r = EXIT_CODE_FAILED;
        identity_deinit(&doctor.identity);
        aws_context_free(doctor.aws);
        config_free(doctor.config);
        sd_event_unref(doctor.event);
        doctor_report_deinit(&report);
        return r;
}

const Command command_doctor = {
        .name = "doctor",
        .summary = "find out what keeps this instance from deploying",
        .description =
                "Looks at everything that musterd needs, as musterd would and with its credentials, one line for each thing, and "
                "says what to do about what is wrong: configuration, trust root, systemd, disk, instance metadata, clock, "
                "credentials, each permission. Nothing is changed, and musterd need not run.",
        .options = doctor_options,
        .values_size = sizeof(DoctorValues),
        .examples =
                (const Example[]){
                        { "Is everything as it should be?", "sudo muster doctor" },
                        { "What is wrong, and nothing else.", "sudo muster doctor --quiet" },
                        { "For a script.",
                          "sudo muster doctor --json | jq -r '.checks[] | select(.verdict == \"failed\").text'" },
                        {},
                },
        .run = run_doctor,
};
