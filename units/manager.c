#include <string.h>

#include "agent/base/clock.h"
#include "agent/base/log.h"
#include "agent/base/strv.h"
#include "units/manager.h"

#define BUS_DAEMON "org.freedesktop.DBus"
#define RECONNECT_MIN_USEC (100 * USEC_PER_MSEC)
#define RECONNECT_MAX_USEC (5 * USEC_PER_SEC)

struct Manager {
        sd_event *event;
        sd_bus *bus; /* NULL while disconnected */
        sd_event_source *reconnect;
        bool answered; /* systemd has, on this connection */
        char *systemd; /* the name of its connection, such as :1.0 */
        uint64_t backoff_usec;
        int connect_error; /* of the last attempt */
        ManagerListener *listeners;
        ManagerListener *telling; /* the next one to be told, while they are told */
};

struct ManagerCall {
        Manager *manager;
        ManagerListener listener;
        ManagerMethod method;
        sd_bus_slot *slot; /* NULL while there is no connection */
        sd_event_source *timer;
        unsigned attempts;
        Error failure; /* set by the connection before it is delivered */
        int result;
        ManagerCallDone done;
        void *userdata;
};

static void disconnect(Manager *manager) {
        if (!manager->bus)
                return;
        sd_bus_detach_event(manager->bus);
        manager->bus = sd_bus_close_unref(manager->bus);
        manager->answered = false;
        (void) string_set(&manager->systemd, NULL);
}

static void tell_listeners(Manager *manager) {
        manager->telling = manager->listeners;
        while (manager->telling) {
                ManagerListener *listener = manager->telling;

                manager->telling = listener->next;
                listener->connected(listener->userdata);
        }
}

/* Runs outside of any callback of the connection that is replaced. */
static void schedule_reconnect(Manager *manager, uint64_t usec) {
        (void) sd_event_source_set_time_relative(manager->reconnect, usec);
        (void) sd_event_source_set_enabled(manager->reconnect, SD_EVENT_ONESHOT);
}

static void schedule_retry(Manager *manager) {
        schedule_reconnect(manager, manager->backoff_usec);
        manager->backoff_usec = MIN(manager->backoff_usec * 2, RECONNECT_MAX_USEC);
}

static int on_disconnected(_unused_ sd_bus_message *m, void *userdata, _unused_ sd_bus_error *e) {
        Manager *manager = userdata;

        log_debug("systemd: the connection to the system bus was lost");
        if (manager->answered)
                schedule_reconnect(manager, 0);
        else /* something listens there, but it is no bus that works */
                schedule_retry(manager);
        return 0;
}

/* systemd itself takes its name anew when it has re-executed itself. */
static int on_owner_changed(sd_bus_message *m, void *userdata, _unused_ sd_bus_error *e) {
        const char *name, *before, *after;

        /* The bus itself, and nobody else, has a name like that. */
        if (string_equal(sd_bus_message_get_sender(m), BUS_DAEMON) &&
            sd_bus_message_read(m, "sss", &name, &before, &after) >= 0 && *after)
                schedule_reconnect(userdata, 0);
        return 0;
}

static int on_subscribed(sd_bus_message *m, void *userdata, _unused_ sd_bus_error *e) {
        Manager *manager = userdata;

        if (sd_bus_message_is_method_error(m, NULL)) {
                log_debug("systemd: Subscribe: %s", sd_bus_message_get_error(m)->message);
                return 0;
        }
        if (string_set(&manager->systemd, sd_bus_message_get_sender(m)) < 0)
                return 0;
        manager->answered = true;
        manager->backoff_usec = RECONNECT_MIN_USEC;
        tell_listeners(manager);
        return 0;
}

static int prepare_bus(Manager *manager, sd_bus *bus) {
        int r;

        r = sd_bus_attach_event(bus, manager->event, SD_EVENT_PRIORITY_NORMAL);
        if (r < 0)
                return r;
        r = sd_bus_match_signal_async(bus, NULL, "org.freedesktop.DBus.Local", NULL,
                                      "org.freedesktop.DBus.Local", "Disconnected", on_disconnected, NULL,
                                      manager);
        if (r < 0)
                return r;
        r = sd_bus_add_match_async(bus, NULL,
                                   "type='signal',sender='" BUS_DAEMON "',path='/org/freedesktop/DBus',"
                                   "interface='org.freedesktop.DBus',member='NameOwnerChanged',"
                                   "arg0='" MANAGER_SERVICE "'",
                                   on_owner_changed, NULL, manager);
        if (r < 0)
                return r;
        /* Without this systemd sends no signals. Nothing else is sent before it is answered: libsystemd blocks when a
         * message with descriptors is sent on a connection that is still being made. */
        return sd_bus_call_method_async(bus, NULL, MANAGER_SERVICE, MANAGER_PATH, MANAGER_INTERFACE,
                                        "Subscribe", on_subscribed, manager, NULL);
}

static int connect_bus(Manager *manager) {
        sd_bus *bus = NULL;
        int r;

        r = sd_bus_open_system_with_description(&bus, "systemd");
        if (r < 0)
                return r;
        r = prepare_bus(manager, bus);
        if (r < 0) {
                sd_bus_detach_event(bus);
                sd_bus_close_unref(bus);
                return r;
        }
        manager->bus = bus;
        return 0;
}

static int on_reconnect(_unused_ sd_event_source *source, _unused_ uint64_t usec, void *userdata) {
        Manager *manager = userdata;

        disconnect(manager);
        manager->connect_error = connect_bus(manager);
        if (manager->connect_error < 0)
                schedule_retry(manager);
        return 0;
}

int manager_new(sd_event *event, Manager **ret, Error *error) {
        _cleanup_(manager_freep) Manager *manager = NULL;
        int r;

        manager = calloc(1, sizeof(*manager));
        if (!manager)
                return error_oom(error);
        manager->event = sd_event_ref(event);
        manager->backoff_usec = RECONNECT_MIN_USEC;
        r = sd_event_add_time_relative(event, &manager->reconnect, CLOCK_BOOTTIME, RECONNECT_MIN_USEC,
                                       TIMER_ACCURACY_EXACT, on_reconnect, manager);
        if (r < 0)
                return error_set_errno(error, r, "cannot set a timer");
        manager->connect_error = connect_bus(manager);
        if (manager->connect_error >= 0)
                (void) sd_event_source_set_enabled(manager->reconnect, SD_EVENT_OFF);
        *ret = TAKE_PTR(manager);
        return 0;
}

Manager *manager_free(Manager *manager) {
        if (!manager)
                return NULL;
        disconnect(manager);
        sd_event_source_disable_unref(manager->reconnect);
        sd_event_unref(manager->event);
        free(manager);
        return NULL;
}

sd_event *manager_event(Manager *manager) {
        return manager->event;
}

sd_bus *manager_bus(Manager *manager) {
        return manager->answered ? manager->bus : NULL;
}

bool manager_has_sent(const Manager *manager, sd_bus_message *signal) {
        return manager->systemd && string_equal(sd_bus_message_get_sender(signal), manager->systemd);
}

void manager_listen(Manager *manager, ManagerListener *listener) {
        listener->previous = NULL;
        listener->next = manager->listeners;
        if (listener->next)
                listener->next->previous = listener;
        manager->listeners = listener;
}

void manager_unlisten(Manager *manager, ManagerListener *listener) {
        if (manager->telling == listener)
                manager->telling = listener->next;
        if (listener->previous)
                listener->previous->next = listener->next;
        else if (manager->listeners == listener)
                manager->listeners = listener->next;
        if (listener->next)
                listener->next->previous = listener->previous;
        listener->previous = listener->next = NULL;
}

/* systemd's error names that callers tell apart; libsystemd maps the standard ones only. */
static const struct {
        const char *name;
        int result;
} error_names[] = {
        { "org.freedesktop.systemd1.NoSuchUnit", -ENOENT },
        { "org.freedesktop.systemd1.UnitExists", -EEXIST },
        { "org.freedesktop.DBus.Error.FileNotFound", -ENOENT },
        { SD_BUS_ERROR_FILE_EXISTS, -EEXIST },
        { SD_BUS_ERROR_ACCESS_DENIED, -EACCES },
        { SD_BUS_ERROR_INVALID_ARGS, -EINVAL },
        { SD_BUS_ERROR_PROPERTY_READ_ONLY, -EINVAL },
        { SD_BUS_ERROR_UNKNOWN_PROPERTY, -EINVAL },
        { SD_BUS_ERROR_NO_REPLY, -ENOTCONN },
        { SD_BUS_ERROR_DISCONNECTED, -ENOTCONN },
        { SD_BUS_ERROR_NO_SERVER, -ENOTCONN },
        { SD_BUS_ERROR_SERVICE_UNKNOWN, -ENOTCONN },
        { SD_BUS_ERROR_NAME_HAS_NO_OWNER, -ENOTCONN },
        { SD_BUS_ERROR_TIMEOUT, -ENOTCONN },
};

int manager_reply_error(sd_bus_message *reply, Error *error) {
        const sd_bus_error *e = sd_bus_message_get_error(reply);
        int r = -EREMOTEIO;

        if (!e)
                return 0;
        for (size_t i = 0; i < ELEMENTSOF(error_names); i++)
                if (strcmp(e->name, error_names[i].name) == 0)
                        r = error_names[i].result;
        if (r == -ENOTCONN)
                return error_set_fault(error, r, FAULT_HOST, "systemd does not answer: %s", e->message);
        return error_set(error, r, "%s", e->message ? e->message : e->name);
}

static void call_finish(ManagerCall *call, int result, sd_bus_message *reply, const Error *error) {
        call->timer = sd_event_source_disable_unref(call->timer);
        manager_unlisten(call->manager, &call->listener);
        call->done(call, result, reply, error, call->userdata);
}

static int on_call_reply(sd_bus_message *reply, void *userdata, _unused_ sd_bus_error *e) {
        ManagerCall *call = userdata;
        Error error = {};
        int r;

        call->slot = sd_bus_slot_unref(call->slot);
        r = manager_reply_error(reply, &error);
        if (r == -ENOTCONN && !call->method.once)
                return 0; /* the next connection takes it up */
        if (r == -EEXIST && call->attempts > 1)
                r = -EALREADY;
        call_finish(call, r, r < 0 ? NULL : reply, &error);
        return 0;
}

static int on_call_timer(_unused_ sd_event_source *source, _unused_ uint64_t usec, void *userdata) {
        ManagerCall *call = userdata;
        Error error =
                call->failure; /* not the call's own, which the callback may free before it looks at that */
        char seconds[32];

        call->slot = sd_bus_slot_unref(call->slot);
        if (call->result < 0) {
                call_finish(call, call->result, NULL, &error);
                return 0;
        }
        snprintf(seconds, sizeof(seconds), "%.0f s", (double) call->method.timeout_usec / USEC_PER_SEC);
        if (call->manager->connect_error >= 0)
                error_set_fault(&error, -ETIMEDOUT, FAULT_HOST,
                                "systemd does not answer: no reply to %s within %s", call->method.member,
                                seconds);
        else
                error_set_fault(&error, -ETIMEDOUT, FAULT_HOST,
                                "systemd does not answer: no connection to the system bus for %s: %s",
                                seconds, strerror(-call->manager->connect_error));
        call_finish(call, -ETIMEDOUT, NULL, &error);
        return 0;
}

static int call_send(ManagerCall *call, Error *error) {
        sd_bus *bus = manager_bus(call->manager);
        sd_bus_message *message = NULL;
        int r;

        r = sd_bus_message_new_method_call(bus, &message, MANAGER_SERVICE, MANAGER_PATH, MANAGER_INTERFACE,
                                           call->method.member);
        if (r >= 0 && call->method.fill)
                r = call->method.fill(message, call->userdata);
        if (r >= 0) {
                call->attempts++;
                r = sd_bus_call_async(bus, &call->slot, message, on_call_reply, call, UINT64_MAX);
        }
        sd_bus_message_unref(message);
        if (r < 0)
                return error_set_errno(error, r, "cannot call systemd's %s", call->method.member);
        return 0;
}

static void on_call_connected(void *userdata) {
        ManagerCall *call = userdata;

        call->slot = sd_bus_slot_unref(call->slot);
        call->result = call_send(call, &call->failure);
        if (call->result < 0) /* delivered from the event loop */
                (void) sd_event_source_set_time_relative(call->timer, 0);
}

int manager_call_start(Manager *manager, const ManagerMethod *method, ManagerCallDone done, void *userdata,
                       ManagerCall **ret, Error *error) {
        _cleanup_(manager_call_freep) ManagerCall *call = NULL;
        int r;

        call = calloc(1, sizeof(*call));
        if (!call)
                return error_oom(error);
        *call = (ManagerCall){ .manager = manager, .method = *method, .done = done, .userdata = userdata };
        call->listener = (ManagerListener){ .connected = on_call_connected, .userdata = call };
        manager_listen(manager, &call->listener);
        if (call->method.timeout_usec == 0)
                call->method.timeout_usec = MANAGER_CALL_TIMEOUT_USEC;
        r = sd_event_add_time_relative(manager->event, &call->timer, CLOCK_BOOTTIME,
                                       call->method.timeout_usec, TIMER_ACCURACY_EXACT, on_call_timer, call);
        if (r < 0)
                return error_set_errno(error, r, "cannot set a timer");
        if (manager_bus(manager)) {
                r = call_send(call, error);
                if (r == -ENOTCONN)
                        r = 0; /* lost, and not yet noticed */
                if (r < 0)
                        return r;
        }
        *ret = TAKE_PTR(call);
        return 0;
}

ManagerCall *manager_call_free(ManagerCall *call) {
        if (!call)
                return NULL;
        sd_bus_slot_unref(call->slot);
        sd_event_source_disable_unref(call->timer);
        manager_unlisten(call->manager, &call->listener);
        free(call);
        return NULL;
}

void manager_send(Manager *manager, const char *member, const char *unit) {
        sd_bus *bus = manager_bus(manager);
        sd_bus_message *message = NULL;

        if (bus &&
            sd_bus_message_new_method_call(bus, &message, MANAGER_SERVICE, MANAGER_PATH, MANAGER_INTERFACE,
                                           member) >= 0 &&
            sd_bus_message_append(message, "s", unit) >= 0 &&
            sd_bus_message_set_expect_reply(message, 0) >= 0)
                (void) sd_bus_send(bus, message, NULL);
        sd_bus_message_unref(message);
}

int manager_reload_start(Manager *manager, ManagerCallDone done, void *userdata, ManagerCall **ret,
                         Error *error) {
        static const ManagerMethod reload = { .member = "Reload",
                                              .timeout_usec = MANAGER_RELOAD_TIMEOUT_USEC };

        return manager_call_start(manager, &reload, done, userdata, ret, error);
}
