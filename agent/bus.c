#include <string.h>
#include <systemd/sd-bus.h>

#include "agent/base/clock.h"
#include "agent/base/log.h"
#include "agent/bus.h"

#define RECONNECT_DELAY (2 * USEC_PER_SEC)

struct BusService {
        sd_event *event;
        sd_bus *bus;
        sd_event_source *reconnect;
        const BusHandlers *handlers;
        void *userdata;
};

static const struct {
        int r;
        const char *name;
} error_names[] = {
        { -EINVAL, "org.muster.Error.BadInput" },  { -ENOENT, "org.muster.Error.NotFound" },
        { -EBUSY, "org.muster.Error.Busy" },       { -EEXIST, "org.muster.Error.Busy" },
        { -EPERM, "org.muster.Error.NotAllowed" }, { -EACCES, "org.muster.Error.NotAllowed" },
        { -EAGAIN, "org.muster.Error.NotReady" },
};

static int reply_error(sd_bus_message *message, int r, const Error *error) {
        const char *name = "org.muster.Error.Failed";

        for (size_t i = 0; i < ELEMENTSOF(error_names); i++)
                if (error_names[i].r == r)
                        name = error_names[i].name;
        return sd_bus_reply_method_errorf(message, name, "%s",
                                          error->message[0] ? error->message : strerror(-r));
}

static int check_root(sd_bus_message *message, Error *error) {
        _cleanup_(sd_bus_creds_unrefp) sd_bus_creds *creds = NULL;
        uid_t uid;
        int r;

        r = sd_bus_query_sender_creds(message, SD_BUS_CREDS_EUID, &creds);
        if (r >= 0)
                r = sd_bus_creds_get_euid(creds, &uid);
        if (r < 0)
                return error_set_errno(error, r, "cannot tell who asks");
        return uid == 0 ? 0 : error_set(error, -EPERM, "only root may do this");
}

static int on_get_status(sd_bus_message *message, void *userdata, _unused_ sd_bus_error *bus_error) {
        BusService *service = userdata;
        _cleanup_free_ char *json = NULL;
        Error error = {};
        int r;

        r = service->handlers->status(service->userdata, check_root(message, NULL) >= 0, &json, &error);
        return r < 0 ? reply_error(message, r, &error) : sd_bus_reply_method_return(message, "s", json);
}

static int on_get_history(sd_bus_message *message, void *userdata, _unused_ sd_bus_error *bus_error) {
        BusService *service = userdata;
        _cleanup_free_ char *json = NULL;
        Error error = {};
        const char *app;
        uint32_t limit;
        int r;

        r = sd_bus_message_read(message, "su", &app, &limit);
        if (r < 0)
                return r;
        r = service->handlers->history(service->userdata, app, MIN(limit, BUS_HISTORY_MAX),
                                       check_root(message, NULL) >= 0, &json, &error);
        return r < 0 ? reply_error(message, r, &error) : sd_bus_reply_method_return(message, "s", json);
}

static int check_release(const char *json, Error *error) {
        if (strlen(json) > BUS_RELEASE_JSON_MAX)
                return error_set(error, -EINVAL, "the release is larger than %u bytes", BUS_RELEASE_JSON_MAX);
        return 0;
}

static int on_deploy_local(sd_bus_message *message, void *userdata, _unused_ sd_bus_error *bus_error) {
        BusService *service = userdata;
        _cleanup_free_ char *id = NULL;
        Error error = {};
        const char *json;
        int fd, r;

        r = check_root(message, &error);
        if (r < 0)
                return reply_error(message, r, &error);
        r = sd_bus_message_read(message, "sh", &json, &fd);
        if (r < 0)
                return r;
        r = check_release(json, &error);
        if (r >= 0)
                r = service->handlers->deploy_local(service->userdata, json, fd, &id, &error);
        return r < 0 ? reply_error(message, r, &error) : sd_bus_reply_method_return(message, "s", id);
}

static int on_adopt(sd_bus_message *message, void *userdata, _unused_ sd_bus_error *bus_error) {
        BusService *service = userdata;
        _cleanup_free_ char *id = NULL;
        int archive_fd, paths_fd, r;
        Error error = {};
        const char *json;

        r = check_root(message, &error);
        if (r < 0)
                return reply_error(message, r, &error);
        r = sd_bus_message_read(message, "shh", &json, &archive_fd, &paths_fd);
        if (r < 0)
                return r;
        r = check_release(json, &error);
        if (r >= 0)
                r = service->handlers->adopt(service->userdata, json, archive_fd, paths_fd, &id, &error);
        return r < 0 ? reply_error(message, r, &error) : sd_bus_reply_method_return(message, "s", id);
}

static int on_poll(sd_bus_message *message, void *userdata, _unused_ sd_bus_error *bus_error) {
        BusService *service = userdata;
        Error error = {};
        int r;

        r = check_root(message, &error);
        if (r >= 0)
                r = service->handlers->poll(service->userdata, &error);
        return r < 0 ? reply_error(message, r, &error) : sd_bus_reply_method_return(message, "");
}

static int on_pin_local(sd_bus_message *message, void *userdata, _unused_ sd_bus_error *bus_error) {
        BusService *service = userdata;
        const char *app, *version, *reason;
        _cleanup_free_ char *id = NULL;
        Error error = {};
        bool changed;
        int r;

        r = check_root(message, &error);
        if (r < 0)
                return reply_error(message, r, &error);
        r = sd_bus_message_read(message, "sss", &app, &version, &reason);
        if (r < 0)
                return r;
        r = service->handlers->pin_local(service->userdata, app, version, reason, &changed, &id, &error);
        return r < 0 ? reply_error(message, r, &error)
                     : sd_bus_reply_method_return(message, "bs", (int) changed, id ?: "");
}

static int on_unpin_local(sd_bus_message *message, void *userdata, _unused_ sd_bus_error *bus_error) {
        BusService *service = userdata;
        Error error = {};
        const char *app;
        bool changed;
        int r;

        r = check_root(message, &error);
        if (r < 0)
                return reply_error(message, r, &error);
        r = sd_bus_message_read(message, "s", &app);
        if (r < 0)
                return r;
        r = service->handlers->unpin_local(service->userdata, app, &changed, &error);
        return r < 0 ? reply_error(message, r, &error)
                     : sd_bus_reply_method_return(message, "b", (int) changed);
}

static int on_check_installed(sd_bus_message *message, void *userdata, _unused_ sd_bus_error *bus_error) {
        BusService *service = userdata;
        Error error = {};
        int r;

        r = check_root(message, &error);
        if (r >= 0)
                r = service->handlers->check_installed(service->userdata, &error);
        return r < 0 ? reply_error(message, r, &error) : sd_bus_reply_method_return(message, "");
}

static const sd_bus_vtable vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD_WITH_NAMES("GetStatus", "", , "s", SD_BUS_PARAM(json), on_get_status,
                                 SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_NAMES("GetHistory", "su", SD_BUS_PARAM(app) SD_BUS_PARAM(limit), "s",
                                 SD_BUS_PARAM(json), on_get_history, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_NAMES("DeployLocal", "sh", SD_BUS_PARAM(release_json) SD_BUS_PARAM(archive), "s",
                                 SD_BUS_PARAM(deployment), on_deploy_local, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_NAMES("Adopt", "shh",
                                 SD_BUS_PARAM(release_json) SD_BUS_PARAM(archive) SD_BUS_PARAM(paths), "s",
                                 SD_BUS_PARAM(deployment), on_adopt, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("Poll", "", "", on_poll, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("CheckInstalled", "", "", on_check_installed, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_NAMES(
                "PinLocal", "sss", SD_BUS_PARAM(app) SD_BUS_PARAM(version) SD_BUS_PARAM(reason), "bs",
                SD_BUS_PARAM(changed) SD_BUS_PARAM(deployment), on_pin_local, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_NAMES("UnpinLocal", "s", SD_BUS_PARAM(app), "b", SD_BUS_PARAM(changed),
                                 on_unpin_local, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_SIGNAL("Changed", "", 0),
        SD_BUS_SIGNAL_WITH_NAMES("Progress", "sss",
                                 SD_BUS_PARAM(app) SD_BUS_PARAM(deployment) SD_BUS_PARAM(json), 0),
        SD_BUS_VTABLE_END,
};

static int try_to_connect(BusService *service);

static int on_reconnect(_unused_ sd_event_source *source, _unused_ uint64_t usec, void *userdata) {
        BusService *service = userdata;

        service->reconnect = sd_event_source_unref(service->reconnect);
        service->bus = sd_bus_flush_close_unref(service->bus);
        return try_to_connect(service);
}

static int reconnect_later(BusService *service) {
        if (service->reconnect)
                return 0;
        return sd_event_add_time_relative(service->event, &service->reconnect, CLOCK_BOOTTIME,
                                          RECONNECT_DELAY, TIMER_ACCURACY_EXACT, on_reconnect, service);
}

static int on_disconnected(_unused_ sd_bus_message *message, void *userdata,
                           _unused_ sd_bus_error *bus_error) {
        BusService *service = userdata;

        log_warning("the system bus went away, connecting again");
        return reconnect_later(service);
}

static int connect_bus(BusService *service) {
        _cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
        int r;

        r = sd_bus_open_system(&bus);
        if (r < 0)
                return r;
        r = sd_bus_add_object_vtable(bus, NULL, BUS_PATH, BUS_INTERFACE, vtable, service);
        if (r < 0)
                return r;
        r = sd_bus_match_signal_async(bus, NULL, "org.freedesktop.DBus.Local", "/org/freedesktop/DBus/Local",
                                      "org.freedesktop.DBus.Local", "Disconnected", on_disconnected, NULL,
                                      service);
        if (r < 0)
                return r;
        r = sd_bus_request_name(bus, BUS_NAME, 0);
        if (r < 0)
                return r;
        r = sd_bus_attach_event(bus, service->event, SD_EVENT_PRIORITY_NORMAL);
        if (r < 0)
                return r;
        service->bus = TAKE_PTR(bus);
        return 0;
}

static int try_to_connect(BusService *service) {
        int r = connect_bus(service);

        if (r < 0) {
                log_debug("no system bus: %s", strerror(-r));
                return reconnect_later(service);
        }
        return 0;
}

int bus_service_new(sd_event *event, const BusHandlers *handlers, void *userdata, BusService **ret,
                    Error *error) {
        _cleanup_(bus_service_freep) BusService *service = NULL;
        int r;

        service = malloc(sizeof(*service));
        if (!service)
                return error_oom(error);
        *service = (BusService){ .event = sd_event_ref(event), .handlers = handlers, .userdata = userdata };
        r = try_to_connect(service);
        if (r < 0)
                return error_set_errno(error, r, "cannot serve %s on the system bus", BUS_NAME);
        *ret = TAKE_PTR(service);
        return 0;
}

BusService *bus_service_free(BusService *service) {
        if (!service)
                return NULL;
        sd_event_source_unref(service->reconnect);
        sd_bus_flush_close_unref(service->bus);
        sd_event_unref(service->event);
        free(service);
        return NULL;
}

void bus_service_changed(BusService *service) {
        if (service->bus)
                (void) sd_bus_emit_signal(service->bus, BUS_PATH, BUS_INTERFACE, "Changed", "");
}

void bus_service_progress(BusService *service, const char *app, const char *deployment, const char *json) {
        if (service->bus)
                (void) sd_bus_emit_signal(service->bus, BUS_PATH, BUS_INTERFACE, "Progress", "sss", app,
                                          deployment, json);
}
