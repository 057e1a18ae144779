/* sandbox-driver STAGING PROGRAM [ARGUMENT…]: runs a program in muster-unpack's sandbox instead of muster-unpack. Its standard
 * input and output are the driver's own; how it ended is told on standard error. With KEEP_UNIT in the environment the unit
 * stays. */

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "agent/unpack_unit.h"
#include "units/transient_stop.h"

typedef struct Driver {
        sd_event *event;
        Manager *manager;
        TransientStop *stop;
        int status;
} Driver;

static void on_stopped(_unused_ TransientStop *stop, _unused_ int result, _unused_ const Error *error,
                       void *userdata) {
        Driver *driver = userdata;

        (void) sd_event_exit(driver->event, driver->status);
}

static void on_ended(Transient *transient, int result, const Error *error, void *userdata) {
        Driver *driver = userdata;
        const TransientResult *r = transient_result(transient);
        Error problem = {};

        driver->status = result < 0 || r->outcome != TRANSIENT_SUCCESS;
        if (driver->status)
                (void) fprintf(stderr, "%s\n", error->message);
        if (getenv("KEEP_UNIT"))
                (void) sd_event_exit(driver->event, driver->status);
        else if (transient_stop_start(driver->manager, transient_name(transient), on_stopped, driver,
                                      &driver->stop, &problem) < 0)
                (void) sd_event_exit(driver->event, 3);
}

int main(int argc, char **argv) {
        _cleanup_(transient_freep) Transient *transient = NULL;
        Driver driver = {};
        Error error = {};
        int r;

        if (argc < 3)
                return 2;
        r = sd_event_default(&driver.event);
        if (r >= 0)
                r = manager_new(driver.event, &driver.manager, &error);
        if (r >= 0)
                r = unpack_unit_start_program(driver.manager, "probe", "d-1", argv[1], argv + 2,
                                              dup(STDIN_FILENO), STDOUT_FILENO, on_ended, &driver, &transient,
                                              &error);
        if (r < 0) {
                (void) fprintf(stderr, "%s\n", error.message);
                return 2;
        }
        r = sd_event_loop(driver.event);
        transient = transient_free(transient);
        transient_stop_free(driver.stop);
        manager_free(driver.manager);
        sd_event_unref(driver.event);
        return r < 0 ? 3 : r;
}
