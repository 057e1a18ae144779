#pragma once

/* The connection to systemd's manager object (org.freedesktop.systemd1(5)) over the system bus.
 *
 * The connection is the module's own and heals itself: when the bus or systemd goes away (the bus daemon restarts,
 * systemd re-executes), it connects again, 100 ms to 5 s apart, subscribes again, and tells its listeners, who then
 * look at the units again, because signals of the time between are lost. Nothing here blocks.
 *
 * Trouble with the connection is the host's fault, and says "systemd does not answer". What systemd refuses comes
 * as systemd's own sentence. */

#include <stdbool.h>
#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>

#include "agent/base/error.h"

/* PID 1 answers in milliseconds; while it reloads all units of a large machine it takes seconds. */
#define MANAGER_CALL_TIMEOUT_USEC (60 * UINT64_C(1000000))
#define MANAGER_RELOAD_TIMEOUT_USEC (180 * UINT64_C(1000000))

#define MANAGER_SERVICE "org.freedesktop.systemd1"
#define MANAGER_PATH "/org/freedesktop/systemd1"
#define MANAGER_INTERFACE "org.freedesktop.systemd1.Manager"

typedef struct Manager Manager;
typedef struct ManagerListener ManagerListener;
typedef struct ManagerCall ManagerCall;

/* Succeeds although nothing answers yet, and goes on trying. -ENOMEM and what sd_event says. */
int manager_new(sd_event *event, Manager **ret, Error *error);

/* Nothing that was made on it may be left. */
Manager *manager_free(Manager *manager);
DEFINE_CLEANUP(Manager *, manager_free)

sd_event *manager_event(Manager *manager);

/* The connection of the moment, NULL while there is none on which systemd has answered. */
sd_bus *manager_bus(Manager *manager);

/* Whether SIGNAL comes from systemd. The bus hands on what is sent to a connection's own name whatever it has asked for, and
 * libsystemd does not know whose a sender is: any user could say that a job has ended. */
bool manager_has_sent(const Manager *manager, sd_bus_message *signal);

/* Embedded in what wants to know of a new connection. Both functions may be called while the others are told. */
struct ManagerListener {
        void (*connected)(void *userdata);
        void *userdata;
        ManagerListener *previous, *next; /* the manager's */
};

void manager_listen(Manager *manager, ManagerListener *listener);
void manager_unlisten(Manager *manager, ManagerListener *listener);

/* Writes the arguments of a call; is called again where the call is repeated. */
typedef int (*ManagerFill)(sd_bus_message *message, void *userdata);

/* REPLY is NULL unless RESULT is zero; it is valid during the callback only. */
typedef void (*ManagerCallDone)(ManagerCall *call, int result, sd_bus_message *reply, const Error *error,
                                void *userdata);

typedef struct ManagerMethod {
        const char *member;    /* of the manager's interface; static text */
        ManagerFill fill;      /* NULL: no arguments */
        uint64_t timeout_usec; /* 0: MANAGER_CALL_TIMEOUT_USEC; counts the time without a connection, too */
        bool once;             /* not repeated after a lost connection: it may have had its effect */
} ManagerMethod;

/* Calls METHOD; a call that the connection lost is made again on the next one (unless `once`), until its time is
 * over. USERDATA is handed to METHOD->fill and to DONE.
 * Results: 0; -ENOTCONN, -ETIMEDOUT (both: the host's fault); -ENOENT (no such unit or file), -EEXIST (such a unit is
 * there), -EALREADY (a repeated call found such a unit: the first one came through), -EACCES, -EINVAL; -EREMOTEIO for
 * whatever else systemd refuses. */
int manager_call_start(Manager *manager, const ManagerMethod *method, ManagerCallDone done, void *userdata,
                       ManagerCall **ret, Error *error);
ManagerCall *manager_call_free(ManagerCall *call);
DEFINE_CLEANUP(ManagerCall *, manager_call_free)

/* Calls a method whose only argument is a unit's name, and wants no answer; without a connection nothing is done. It is
 * worked off after the calls that were made before it. */
void manager_send(Manager *manager, const char *member, const char *unit);

/* systemctl daemon-reload */
int manager_reload_start(Manager *manager, ManagerCallDone done, void *userdata, ManagerCall **ret,
                         Error *error);

/* Turns an error reply into a result and a sentence as above; 0 for any other message. */
int manager_reply_error(sd_bus_message *reply, Error *error);
