/* The hands of tests/lab/test_units.py and test_hooks.py on an instance. See units-driver.h. */

#include <fcntl.h>
#include <getopt.h>
#include <string.h>

#include "agent/base/file.h"
#include "agent/base/parse.h"
#include "tests/lab/units-driver.h"

void driver_finish(Driver *driver, int result, const Error *error) {
        printf("result=%d\n", result);
        printf("error=%s\n", error ? error->message : "");
        printf("fault=%s\n", error_fault_to_string(error ? error->fault : FAULT_UNKNOWN));
        printf("seconds=%.2f\n", (double) (clock_boottime(&clock_system) - driver->began) / USEC_PER_SEC);
        (void) sd_event_exit(driver->event, 0);
}

int driver_wait(Driver *driver, int r, const Error *error) {
        if (r < 0)
                driver_finish(driver, r, error);
        return sd_event_loop(driver->event);
}

static uint64_t duration(const char *text) {
        uint64_t usec;

        if (parse_duration(text, &usec) < 0) {
                fprintf(stderr, "%s: not a duration\n", text);
                exit(2);
        }
        return usec;
}

static int folder(const char *path) {
        int fd = file_open_folder_at(AT_FDCWD, path, 0700);

        if (fd < 0) {
                fprintf(stderr, "%s: %s\n", path, strerror(-fd));
                exit(2);
        }
        return fd;
}

static void set_transient(Driver *driver, int option, char *value) {
        TransientSpec *spec = &driver->transient;

        switch (option) {
        case 'e':
                spec->type = TRANSIENT_EXEC;
                break;
        case 'k':
                spec->stop_timeout_usec = duration(value);
                break;
        case 'o':
                spec->stdout_fd = open(value, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
                spec->stderr_fd = spec->stdout_fd;
                break;
        case 'f':
                spec->environment_file = value;
                break;
        }
}

static void set_hook(Driver *driver, int option, char *value) {
        HookContext *context = &driver->hook;

        switch (option) {
        case 'A':
                context->app = value;
                break;
        case 'D':
                context->deployment = value;
                break;
        case 'T':
                context->attempt = (unsigned) atoi(value);
                break;
        case 'E':
                if (lifecycle_event_from_string(value, &context->event) < 0)
                        exit(2);
                break;
        case 'R':
                context->release_folder = value;
                context->release_dirfd = folder(value);
                break;
        case 'O':
                context->output_dirfd = folder(value);
                break;
        }
}

static void set_check(Driver *driver, int option, char *value) {
        HealthCheck *check = &driver->check;

        switch (option) {
        case 'i':
                check->interval_usec = duration(value);
                break;
        case 'n':
                check->healthy = (unsigned) atoi(value);
                break;
        case 'S':
                check->status = (unsigned) atoi(value);
                break;
        case 'b':
                check->body = value;
                break;
        case 'H':
                check->header = value;
                break;
        case 'a':
                check->active_usec = duration(value);
                break;
        }
}

static void set_shared(Driver *driver, int option, char *value) {
        switch (option) {
        case 't':
                driver->transient.timeout_usec = duration(value);
                driver->script.timeout_usec = driver->check.timeout_usec = driver->transient.timeout_usec;
                break;
        case 'd':
                driver->job.deadline_usec = driver->check.deadline_usec = duration(value);
                break;
        case 'u':
                driver->transient.user = driver->script.runas = driver->check.runas = value;
                break;
        case 's':
                driver->job.settle_usec = duration(value);
                break;
        case 'r':
                driver->job.runs_from = value;
                break;
        }
}

/* Options for all the verbs; the place of the first argument. */
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
                { "app", required_argument, NULL, 'A' },
                { "deployment", required_argument, NULL, 'D' },
                { "event", required_argument, NULL, 'E' },
                { "attempt", required_argument, NULL, 'T' },
                { "release", required_argument, NULL, 'R' },
                { "output-folder", required_argument, NULL, 'O' },
                { "interval", required_argument, NULL, 'i' },
                { "healthy", required_argument, NULL, 'n' },
                { "status", required_argument, NULL, 'S' },
                { "body", required_argument, NULL, 'b' },
                { "header", required_argument, NULL, 'H' },
                { "active", required_argument, NULL, 'a' },
                {},
        };
        int c;

        while ((c = getopt_long(argc, argv, "+", options, NULL)) >= 0) {
                if (c == '?')
                        return -EINVAL;
                set_transient(driver, c, optarg);
                set_hook(driver, c, optarg);
                set_check(driver, c, optarg);
                set_shared(driver, c, optarg);
        }
        return optind;
}

static int run_verb(Driver *driver, int argc, char **argv) {
        const DriverVerb *const tables[] = { driver_unit_verbs, driver_hook_verbs };

        for (size_t i = 0; i < ELEMENTSOF(tables); i++)
                for (const DriverVerb *verb = tables[i]; verb->name; verb++)
                        if (strcmp(argv[0], verb->name) == 0 && argc - 1 >= verb->n_arguments)
                                return verb->run(driver, argv + 1);
        return -EINVAL;
}

int main(int argc, char **argv) {
        Driver driver = {
                .began = clock_boottime(&clock_system),
                .hook = { .app = "api", .deployment = "d-1", .attempt = 1, .event = LIFECYCLE_AFTER_INSTALL },
        };
        Error error = {};
        int first, r;

        setvbuf(stdout, NULL, _IOLBF, 0);
        first = parse_options(&driver, argc, argv);
        if (first < 0 || first >= argc || sd_event_default(&driver.event) < 0)
                return 2;
        if (manager_new(driver.event, &driver.manager, &error) < 0)
                return 1;
        r = run_verb(&driver, argc - first, argv + first);
        manager_free(driver.manager);
        sd_event_unref(driver.event);
        if (r < 0)
                fprintf(stderr, "units-driver: %s\n", strerror(-r));
        return r < 0 ? 2 : 0;
}
