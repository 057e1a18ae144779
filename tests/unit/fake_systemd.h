#pragma once

/* A system bus with nothing but a systemd on it, as far as units/ speaks to them: a socket in a test's folder, answered on
 * the test's own event loop. It has one unit, whose state the test sets, and can be made to go away and come back. */

#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>

#include "tests/unit/test.h"
#include "units/manager.h"

#define FAKE_CALLS_MAX 64

typedef struct FakeUnit {
        const char *load, *active, *sub, *result, *type;
        uint32_t job, main_pid, n_restarts;
        int32_t exec_code, exec_status;
        uint64_t exec_started;
        uint8_t run; /* makes the InvocationID; 0: none */
        bool can_reload;
} FakeUnit;

typedef struct FakeSystemd FakeSystemd;

/* Answers a call of the manager's interface by sd_bus_reply_…(), or leaves it unanswered. */
typedef void (*FakeMethod)(FakeSystemd *fake, sd_bus_message *call, const char *member);

struct FakeSystemd {
        sd_event *event;
        char path[TEST_PATH_MAX + 16];
        int listen_fd;
        sd_event_source *accept;
        sd_bus *peer; /* the connection there is */
        FakeMethod method;
        FakeUnit unit;
        unsigned connections;
        char calls[FAKE_CALLS_MAX]
                  [48];            /* what was called, in order, all connections; GetAll is not among them */
        unsigned n_calls, n_reads; /* GetAll */
        bool mute;                 /* answers nothing at all */
        const char *forger;        /* who sends the signals, if not systemd */
};

/* Listens in FOLDER and points DBUS_SYSTEM_BUS_ADDRESS there. */
void fake_systemd_init(FakeSystemd *fake, sd_event *event, const TestFolder *folder, FakeMethod method);
void fake_systemd_deinit(FakeSystemd *fake);

/* A service that runs, and can be reloaded. */
extern const FakeUnit fake_unit_up;

/* The same with all that a test of units/ needs around it. The first member of a test's own fixture. */
typedef struct FakeSystemdRig {
        TestFolder *folder;
        sd_event *event;
        FakeSystemd fake;
        Manager *manager; /* is connected */
} FakeSystemdRig;

/* For cmocka's setup and teardown, which return what these do. SIZE is that of the fixture, whose other members are zero at first, and
 * are to be freed before the rig. */
int fake_systemd_setup(void **state, size_t size, FakeMethod method);
int fake_systemd_teardown(void **state);

/* The bus goes away with its socket; and comes back. */
void fake_systemd_stop(FakeSystemd *fake);
void fake_systemd_listen(FakeSystemd *fake);

/* Closes the connection, but goes on listening. */
void fake_systemd_drop(FakeSystemd *fake);

/* Signals of the unit UNIT: its properties changed; its job ended. */
void fake_systemd_changed(FakeSystemd *fake, const char *unit);
void fake_systemd_job_removed(FakeSystemd *fake, const char *unit, uint32_t job, const char *result);

/* The bus says that systemd has a new connection. */
void fake_systemd_owner_changed(FakeSystemd *fake);

unsigned fake_systemd_count(const FakeSystemd *fake, const char *member);

/* Runs the event loop until *FLAG, at most TEST_WAIT_MAX; fails the test if it does not come. */
void fake_systemd_run(FakeSystemd *fake, const bool *flag);

/* Runs it until MEMBER was called N times. */
void fake_systemd_await(FakeSystemd *fake, const char *member, unsigned n);

/* Runs it for so long. */
void fake_systemd_run_for(FakeSystemd *fake, uint64_t usec);
