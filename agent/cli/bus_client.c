#include <stdarg.h>

#include "agent/base/clock.h"
#include "agent/base/strv.h"
#include "agent/bus.h"
#include "agent/cli/bus_client.h"

/* musterd answers at once; to what it keeps on the disk first, as soon as the disk has it. Without an answer in this time it
 * hangs. */
#define ANSWER_TIMEOUT (5 * USEC_PER_SEC)
#define DISK_TIMEOUT (60 * USEC_PER_SEC)

#define _cleanup_message_ _cleanup_(sd_bus_message_unrefp)

static const struct {
        const char *name;
        int r;
} error_names[] = {
        { "org.muster.Error.BadInput", -EINVAL },  { "org.muster.Error.NotFound", -ENOENT },
        { "org.muster.Error.NotAllowed", -EPERM }, { "org.muster.Error.Busy", -EEXIST },
        { "org.muster.Error.NotReady", -EAGAIN },
};

static int no_daemon(Error *error) {
        return error_set_fault(error, -ECONNREFUSED, FAULT_HOST,
                               "musterd does not run on this machine (systemctl status musterd)");
}

/* What the bus itself or musterd answered instead of a result. */
static int call_failed(int r, const sd_bus_error *bus_error, Error *error) {
        if (sd_bus_error_has_names(bus_error, SD_BUS_ERROR_SERVICE_UNKNOWN, SD_BUS_ERROR_NAME_HAS_NO_OWNER,
                                   SD_BUS_ERROR_DISCONNECTED,
                                   "org.freedesktop.DBus.Error.Spawn.ServiceNotFound"))
                return no_daemon(error);
        if (sd_bus_error_has_name(bus_error, SD_BUS_ERROR_ACCESS_DENIED))
                return error_set(error, -EPERM, "only root may ask musterd for this");
        if (sd_bus_error_has_names(bus_error, SD_BUS_ERROR_NO_REPLY, SD_BUS_ERROR_TIMEOUT))
                return error_set(
                        error, -ETIMEDOUT,
                        "musterd does not answer: it hangs or is stopped (systemctl status musterd)");
        for (size_t i = 0; i < ELEMENTSOF(error_names); i++)
                if (sd_bus_error_has_name(bus_error, error_names[i].name))
                        return error_set(error, error_names[i].r, "%s", bus_error->message);
        if (bus_error->message && string_starts_with(bus_error->name, "org.muster.Error."))
                return error_set(error, -EIO, "%s", bus_error->message);
        return error_set_errno(error, r, "cannot ask musterd: %s",
                               bus_error->message ?: "the system bus gave no reason");
}

int bus_client_open(sd_bus **ret, Error *error) {
        int r;

        r = sd_bus_open_system(ret);
        if (r == -ENOENT || r == -ECONNREFUSED)
                return no_daemon(error);
        if (r < 0)
                return error_set_errno(error, r, "cannot connect to the system bus");
        return 0;
}

static int new_call(sd_bus *bus, const char *method, sd_bus_message **ret, const char *types,
                    va_list arguments) {
        _cleanup_message_ sd_bus_message *call = NULL;
        int r;

        r = sd_bus_message_new_method_call(bus, &call, BUS_NAME, BUS_PATH, BUS_INTERFACE, method);
        if (r < 0)
                return r;
        r = sd_bus_message_appendv(call, types, arguments);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(call);
        return 0;
}

/* Calls METHOD with arguments of TYPES, and waits so long for the answer. */
static int call_method(sd_bus *bus, const char *method, uint64_t timeout, sd_bus_message **ret, Error *error,
                       const char *types, ...) {
        _cleanup_message_ sd_bus_message *call = NULL;
        _cleanup_(sd_bus_error_free) sd_bus_error bus_error = SD_BUS_ERROR_NULL;
        va_list arguments;
        int r;

        va_start(arguments, types);
        r = new_call(bus, method, &call, types, arguments);
        va_end(arguments);
        if (r < 0)
                return error_set_errno(error, r, "cannot write a call of %s", method);
        r = sd_bus_call(bus, call, timeout, &bus_error, ret);
        return r < 0 ? call_failed(r, &bus_error, error) : 0;
}

static int take_string(sd_bus_message *reply, char **ret, Error *error) {
        const char *text = NULL;
        int r;

        r = sd_bus_message_read(reply, "s", &text);
        if (r < 0)
                return error_set_errno(error, r, "cannot read musterd's answer");
        return string_set(ret, text) < 0 ? error_oom(error) : 0;
}

static int take_boolean(sd_bus_message *reply, bool *ret, Error *error) {
        int value, r;

        r = sd_bus_message_read(reply, "b", &value);
        if (r < 0)
                return error_set_errno(error, r, "cannot read musterd's answer");
        *ret = value;
        return 0;
}

int bus_client_status(sd_bus *bus, char **ret_json, Error *error) {
        _cleanup_message_ sd_bus_message *reply = NULL;
        int r;

        r = call_method(bus, "GetStatus", ANSWER_TIMEOUT, &reply, error, "");
        return r < 0 ? r : take_string(reply, ret_json, error);
}

int bus_client_history(sd_bus *bus, const char *app, uint32_t limit, char **ret_json, Error *error) {
        _cleanup_message_ sd_bus_message *reply = NULL;
        int r;

        r = call_method(bus, "GetHistory", ANSWER_TIMEOUT, &reply, error, "su", app, limit);
        return r < 0 ? r : take_string(reply, ret_json, error);
}

int bus_client_adopt(sd_bus *bus, const char *release_json, int archive_fd, int paths_fd, char **ret_id,
                     Error *error) {
        _cleanup_message_ sd_bus_message *reply = NULL;
        int r;

        r = call_method(bus, "Adopt", DISK_TIMEOUT, &reply, error, "shh", release_json, archive_fd, paths_fd);
        return r < 0 ? r : take_string(reply, ret_id, error);
}

int bus_client_deploy_local(sd_bus *bus, const char *release_json, int archive_fd, char **ret_id,
                            Error *error) {
        _cleanup_message_ sd_bus_message *reply = NULL;
        int r;

        r = call_method(bus, "DeployLocal", DISK_TIMEOUT, &reply, error, "sh", release_json, archive_fd);
        return r < 0 ? r : take_string(reply, ret_id, error);
}

int bus_client_poll(sd_bus *bus, Error *error) {
        _cleanup_message_ sd_bus_message *reply = NULL;

        return call_method(bus, "Poll", ANSWER_TIMEOUT, &reply, error, "");
}

int bus_client_check_installed(sd_bus *bus, Error *error) {
        _cleanup_message_ sd_bus_message *reply = NULL;

        return call_method(bus, "CheckInstalled", ANSWER_TIMEOUT, &reply, error, "");
}

int bus_client_pin_local(sd_bus *bus, const char *app, const char *version, const char *reason,
                         bool *ret_changed, char **ret_id, Error *error) {
        _cleanup_message_ sd_bus_message *reply = NULL;
        int r;

        r = call_method(bus, "PinLocal", DISK_TIMEOUT, &reply, error, "sss", app, version, reason);
        if (r >= 0)
                r = take_boolean(reply, ret_changed, error);
        return r < 0 ? r : take_string(reply, ret_id, error);
}

int bus_client_unpin_local(sd_bus *bus, const char *app, bool *ret_changed, Error *error) {
        _cleanup_message_ sd_bus_message *reply = NULL;
        int r;

        r = call_method(bus, "UnpinLocal", DISK_TIMEOUT, &reply, error, "s", app);
        return r < 0 ? r : take_boolean(reply, ret_changed, error);
}

int bus_client_watch(sd_bus *bus, const char *signal, sd_bus_message_handler_t handler, void *userdata,
                     Error *error) {
        int r;

        r = sd_bus_match_signal(bus, NULL, BUS_NAME, BUS_PATH, BUS_INTERFACE, signal, handler, userdata);
        if (r < 0)
                return error_set_errno(error, r, "cannot watch musterd");
        return 0;
}
