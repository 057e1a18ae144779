/* The verbs of units-driver for what lies in units/. */

#include <fcntl.h>
#include <signal.h>
#include <string.h>

#include "agent/base/strv.h"
#include "tests/lab/units-driver.h"
#include "units/transient_stop.h"
#include "units/unit_enable.h"
#include "units/unit_file.h"
#include "units/unit_process.h"
#include "units/unit_removal.h"

static void on_transient(Transient *transient, int result, const Error *error, void *userdata) {
        const TransientResult *r = transient_result(transient);

        if (result == 0)
                printf("outcome=%s\nstatus=%d\n", transient_outcome_to_string(r->outcome), r->status);
        driver_finish(userdata, result, error);
}

static int run(Driver *driver, char **arguments) {
        _cleanup_(transient_freep) Transient *transient = NULL;
        Error error = {};
        int r;

        driver->transient.name = arguments[0];
        driver->transient.argv = arguments + 1;
        r = transient_start(driver->manager, &driver->transient, on_transient, driver, &transient, &error);
        return driver_wait(driver, r, &error);
}

static int adopt(Driver *driver, char **arguments) {
        _cleanup_(transient_freep) Transient *transient = NULL;
        Error error = {};
        int r;

        r = transient_adopt(driver->manager, arguments[0], driver->transient.timeout_usec, on_transient,
                            driver, &transient, &error);
        return driver_wait(driver, r, &error);
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
                r = sd_event_add_time_relative(driver->event, NULL, CLOCK_BOOTTIME, USEC_PER_SEC,
                                               TIMER_ACCURACY_EXACT, on_kill_time, transient);
        return driver_wait(driver, r, &error);
}

static void on_stop(_unused_ TransientStop *stop, int result, const Error *error, void *userdata) {
        driver_finish(userdata, result, error);
}

static int stop(Driver *driver, char **arguments) {
        _cleanup_(transient_stop_freep) TransientStop *operation = NULL;
        Error error = {};
        int r;

        r = transient_stop_start(driver->manager, arguments[0], on_stop, driver, &operation, &error);
        return driver_wait(driver, r, &error);
}

static void on_job(UnitJob *job, int result, const Error *error, void *userdata) {
        printf("verdict=%s\n", result >= 0 ? unit_verdict_to_string((UnitVerdict) result) : "none");
        for (const char *p = unit_job_journal(job); *p;) {
                size_t n = strcspn(p, "\n");

                printf("journal=%.*s\n", (int) n, p);
                p += n + (p[n] == '\n');
        }
        driver_finish(userdata, result, error);
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
        return driver_wait(driver, r, &error);
}

static void on_reload(_unused_ ManagerCall *call, int result, _unused_ sd_bus_message *reply,
                      const Error *error, void *userdata) {
        driver_finish(userdata, result, error);
}

static int reload(Driver *driver, _unused_ char **arguments) {
        _cleanup_(manager_call_freep) ManagerCall *call = NULL;
        Error error = {};
        int r;

        r = manager_reload_start(driver->manager, on_reload, driver, &call, &error);
        return driver_wait(driver, r, &error);
}

static UnitFiles open_files(void) {
        Error error = {};
        int fd = unit_files_open(&error);

        if (fd < 0) {
                fprintf(stderr, "%s\n", error.message);
                exit(2);
        }
        return (UnitFiles){ .dirfd = fd, .reserved = unit_files_reserved };
}

/* APP NAME FILE */
static int install(Driver *driver, char **arguments) {
        _cleanup_close_ int source = open(arguments[2], O_RDONLY | O_CLOEXEC);
        UnitFiles files = open_files();
        bool changed = false;
        Error error = {};
        int r;

        r = unit_file_install(&files, arguments[0], arguments[1], source, &changed, &error);
        printf("changed=%d\n", changed);
        driver_finish(driver, r, &error);
        return 0;
}

/* APP NAME ENVIRONMENT_FILE */
static int environment(Driver *driver, char **arguments) {
        UnitFiles files = open_files();
        bool changed = false;
        Error error = {};
        int r;

        r = unit_file_set_environment(&files, arguments[0], arguments[1], arguments[2], &changed, &error);
        printf("changed=%d\n", changed);
        driver_finish(driver, r, &error);
        return 0;
}

static void on_enable(_unused_ UnitEnable *enable, int result, const Error *error, void *userdata) {
        driver_finish(userdata, result, error);
}

static int enable_or_disable(Driver *driver, char **names, bool enable) {
        _cleanup_(unit_enable_freep) UnitEnable *operation = NULL;
        Error error = {};
        int r;

        r = unit_enable_start(driver->manager, names, enable, on_enable, driver, &operation, &error);
        return driver_wait(driver, r, &error);
}

static int enable(Driver *driver, char **arguments) {
        return enable_or_disable(driver, arguments, true);
}

static int disable(Driver *driver, char **arguments) {
        return enable_or_disable(driver, arguments, false);
}

static void on_removal(_unused_ UnitRemoval *removal, int result, const Error *error, void *userdata) {
        driver_finish(userdata, result, error);
}

/* APP NAME... */
static int remove_units(Driver *driver, char **arguments) {
        _cleanup_(unit_removal_freep) UnitRemoval *operation = NULL;
        UnitFiles files = open_files();
        Error error = {};
        int r;

        r = unit_removal_start(driver->manager, &files, arguments[0], arguments + 1, on_removal, driver,
                               &operation, &error);
        return driver_wait(driver, r, &error);
}

/* PID FOLDER */
static int runs_from(Driver *driver, char **arguments) {
        _cleanup_free_ char *where = NULL;
        bool runs = false;
        Error error = {};
        int r;

        r = process_runs_from(atoi(arguments[0]), arguments[1], &runs, &where, &error);
        printf("runs=%d\nwhere=%s\n", runs, where ? where : "");
        driver_finish(driver, r, &error);
        return 0;
}

const DriverVerb driver_unit_verbs[] = {
        { "run", run, 2 },
        { "adopt", adopt, 1 },
        { "stop", stop, 1 },
        { "run-and-kill", run_and_kill, 2 },
        { "job", job, 2 },
        { "reload", reload, 0 },
        { "install", install, 3 },
        { "environment", environment, 3 },
        { "enable", enable, 1 },
        { "disable", disable, 1 },
        { "remove", remove_units, 1 },
        { "runs-from", runs_from, 2 },
        {},
};
