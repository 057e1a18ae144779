/* Runs one operation of units/ or hooks/ and prints what came of it as "name=value" lines: the hands of
 * tests/lab/test_units.py on an instance. */

#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "agent/base/clock.h"
#include "agent/base/parse.h"
#include "agent/base/strv.h"
#include "units/transient.h"
#include "units/transient_stop.h"
#include "units/unit_file.h"
#include "units/unit_job.h"
#include "units/unit_process.h"

typedef struct Driver {
        sd_event *event;
        Manager *manager;
        uint64_t began;
        /* options */
        TransientSpec transient;
        UnitJobSpec job;
} Driver;

static void finish(Driver *driver, int result, const Error *error) {
        printf("result=%d\n", result);
        printf("error=%s\n", error ? error->message : "");
        printf("fault=%s\n", error_fault_to_string(error ? error->fault : FAULT_UNKNOWN));
        printf("seconds=%.2f\n", (double) (clock_boottime(&clock_system) - driver->began) / USEC_PER_SEC);
        (void) sd_event_exit(driver->event, 0);
}

static int wait_for(Driver *driver, int r, const Error *error) {
        if (r < 0)
                finish(driver, r, error);
        return sd_event_loop(driver->event);
}

static void on_transient(Transient *transient, int result, const Error *error, void *userdata) {
        const TransientResult *r = transient_result(transient);

        if (result == 0)
                printf("outcome=%s\nstatus=%d\n", transient_outcome_to_string(r->outcome), r->status);
        finish(userdata, result, error);
}

static int run(Driver *driver, char **arguments) {
        _cleanup_(transient_freep) Transient *transient = NULL;
        Error error = {};
        int r;

        driver->transient.name = arguments[0];
        driver->transient.argv = arguments + 1;
        r = transient_start(driver->manager, &driver->transient, on_transient, driver, &transient, &error);
        return wait_for(driver, r, &error);
}

static int adopt(Driver *driver, char **arguments) {
        _cleanup_(transient_freep) Transient *transient = NULL;
        Error error = {};
        int r;

        r = transient_adopt(driver->manager, arguments[0], driver->transient.timeout_usec, on_transient,
                            driver, &transient, &error);
        return wait_for(driver, r, &error);
}

static int on_kill_time(sd_event_source *source, _unused_ uint64_t usec, void *userdata) {
        (void) sd_event_source_set_enabled(source, SD_EVENT_OFF);
        return transient_kill(userdata, SIGKILL, NULL);
}

/* Kills it a second after its start. */
static int run_and_kill(Driver *driver, char **arguments) {
        _cleanup_(transient_freep) Transient *transient = NULL;
        Error error = {};
        int r;

        driver->transient.name = arguments[0];
        driver->transient.argv = arguments + 1;
        r = transient_start(driver->manager, &driver->transient, on_transient, driver, &transient, &error);
        if (r >= 0)
                r = sd_event_add_time_relative(driver->event, NULL, CLOCK_BOOTTIME, USEC_PER_SEC, 0,
                                               on_kill_time, transient);
        return wait_for(driver, r, &error);
}

static void on_stop(_unused_ TransientStop *stop, int result, const Error *error, void *userdata) {
        finish(userdata, result, error);
}

static int stop(Driver *driver, char **arguments) {
        _cleanup_(transient_stop_freep) TransientStop *operation = NULL;
        Error error = {};
        int r;

        r = transient_stop_start(driver->manager, arguments[0], on_stop, driver, &operation, &error);
        return wait_for(driver, r, &error);
}

static void on_job(UnitJob *job, int result, const Error *error, void *userdata) {
        printf("verdict=%s\n", result >= 0 ? unit_verdict_to_string((UnitVerdict) result) : "none");
        for (const char *p = unit_job_journal(job); *p;) {
                size_t n = strcspn(p, "\n");

                printf("journal=%.*s\n", (int) n, p);
                p += n + (p[n] == '\n');
        }
        finish(userdata, result, error);
}

static int job(Driver *driver, char **arguments) {
        _cleanup_(unit_job_freep) UnitJob *operation = NULL;
        Error error = {};
        int r;

        r = unit_verb_from_string(arguments[0], &driver->job.verb);
        if (r < 0)
                return r;
        driver->job.unit = arguments[1];
        r = unit_job_start(driver->manager, &driver->job, on_job, driver, &operation, &error);
        return wait_for(driver, r, &error);
}

static void on_reload(_unused_ ManagerCall *call, int result, _unused_ sd_bus_message *reply,
                      const Error *error, void *userdata) {
        finish(userdata, result, error);
}

static int reload(Driver *driver, _unused_ char **arguments) {
        _cleanup_(manager_call_freep) ManagerCall *call = NULL;
        Error error = {};
        int r;

        r = manager_reload_start(driver->manager, on_reload, driver, &call, &error);
        return wait_for(driver, r, &error);
}

static int install(Driver *driver, char **arguments) {
        _cleanup_close_ int folder = -1, source = -1;
        Error error = {};
        bool changed = false;
        int r;

        r = folder = unit_files_open(&error);
        source = open(arguments[2], O_RDONLY | O_CLOEXEC);
        if (r >= 0) {
                UnitFiles files = { .dirfd = folder, .reserved = unit_files_reserved };

                r = unit_file_install(&files, arguments[0], arguments[1], source, &changed, &error);
        }
        printf("changed=%d\n", changed);
        finish(driver, r, &error);
        return 0;
}

static int runs_from(Driver *driver, char **arguments) {
        _cleanup_free_ char *where = NULL;
        Error error = {};
        bool runs = false;
        int r;

        r = process_runs_from(atoi(arguments[0]), arguments[1], &runs, &where, &error);
        printf("runs=%d\nwhere=%s\n", runs, where ? where : "");
        finish(driver, r, &error);
        return 0;
}

static const struct {
        const char *name;
        int (*run)(Driver *driver, char **arguments);
        int n_arguments; /* at least */
} verbs[] = {
        { "run", run, 2 },
        { "adopt", adopt, 1 },
        { "run-and-kill", run_and_kill, 2 },
        { "stop", stop, 1 },
        { "job", job, 2 },
        { "reload", reload, 0 },
        { "install", install, 3 },
        { "runs-from", runs_from, 2 },
};

static uint64_t duration(const char *text) {
        uint64_t usec;

        if (parse_duration(text, &usec) < 0) {
                fprintf(stderr, "%s: not a duration\n", text);
                exit(2);
        }
        return usec;
}

static int parse_options(Driver *driver, int argc, char **argv) {
        static const struct option options[] = {
                { "exec", no_argument, NULL, 'e' },
                { "timeout", required_argument, NULL, 't' },
                { "stop-timeout", required_argument, NULL, 'k' },
                { "user", required_argument, NULL, 'u' },
                { "output", required_argument, NULL, 'o' },
                { "environment-file", required_argument, NULL, 'f' },
                { "deadline", required_argument, NULL, 'd' },
                { "settle", required_argument, NULL, 's' },
                { "runs-from", required_argument, NULL, 'r' },
                {},
        };
        int c;

        while ((c = getopt_long(argc, argv, "+", options, NULL)) >= 0) {
                switch (c) {
                case 'e':
                        driver->transient.type = TRANSIENT_EXEC;
                        break;
                case 't':
                        driver->transient.timeout_usec = duration(optarg);
                        break;
                case 'k':
                        driver->transient.stop_timeout_usec = duration(optarg);
                        break;
                case 'u':
                        driver->transient.user = optarg;
                        break;
                case 'o':
                        driver->transient.stdout_fd =
                                open(optarg, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
                        driver->transient.stderr_fd = driver->transient.stdout_fd;
                        break;
                case 'f':
                        driver->transient.environment_file = optarg;
                        break;
                case 'd':
                        driver->job.deadline_usec = duration(optarg);
                        break;
                case 's':
                        driver->job.settle_usec = duration(optarg);
                        break;
                case 'r':
                        driver->job.runs_from = optarg;
                        break;
                default:
                        return -EINVAL;
                }
        }
        return optind;
}

int main(int argc, char **argv) {
        Driver driver = { .began = clock_boottime(&clock_system) };
        Error error = {};
        int first, r = -EINVAL;

        setvbuf(stdout, NULL, _IOLBF, 0);
        first = parse_options(&driver, argc, argv);
        if (first < 0 || first >= argc || sd_event_default(&driver.event) < 0)
                return 2;
        if (manager_new(driver.event, &driver.manager, &error) < 0)
                return 1;
        for (size_t i = 0; i < ELEMENTSOF(verbs); i++)
                if (strcmp(argv[first], verbs[i].name) == 0 && argc - first - 1 >= verbs[i].n_arguments)
                        r = verbs[i].run(&driver, argv + first + 1);
        manager_free(driver.manager);
        sd_event_unref(driver.event);
        if (r < 0)
                fprintf(stderr, "units-driver: %s\n", strerror(-r));
        return r < 0 ? 2 : 0;
}
