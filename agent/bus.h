#pragma once

/* org.muster.Agent1 on the system bus: what the command line and other local programs see of musterd. Reading is for
 * everybody on the instance, verbs are for root. Errors carry one sentence under a name of org.muster.Error.*. The
 * connection is made again when the bus was restarted. JSON shapes: musterd(8). */

#include <stdbool.h>
#include <systemd/sd-event.h>

#include "agent/base/error.h"

#define BUS_NAME "org.muster.Agent1"
#define BUS_PATH "/org/muster/Agent1"
#define BUS_INTERFACE "org.muster.Agent1"
#define BUS_HISTORY_MAX 1000U
#define BUS_RELEASE_JSON_MAX (8U * 1024U * 1024U)

typedef struct BusService BusService;

/* Each returns 0, or a negative errno with the error set. Strings are new memory, which the service frees. */
typedef struct BusHandlers {
        /* WITH_OUTPUT: root asks, who may see what hooks printed. */
        int (*status)(void *userdata, bool with_output, char **ret_json, Error *error);
        int (*history)(void *userdata, const char *app, size_t limit, bool with_output, char **ret_json,
                       Error *error);
        /* ARCHIVE_FD is borrowed. */
        int (*deploy_local)(void *userdata, const char *release_json, int archive_fd, char **ret_id,
                            Error *error);
        /* Likewise both; PATHS_FD has what is installed (codedeploy_cleanup.h). */
        int (*adopt)(void *userdata, const char *release_json, int archive_fd, int paths_fd, char **ret_id,
                     Error *error);
        int (*poll)(void *userdata, Error *error);
        int (*check_installed)(void *userdata, Error *error); /* begins; the status then has what was found */
        /* ID is that of the deployment that this began, or NULL. */
        int (*pin_local)(void *userdata, const char *app, const char *version, const char *reason,
                         bool *ret_changed, char **ret_id, Error *error);
        int (*unpin_local)(void *userdata, const char *app, bool *ret_changed, Error *error);
} BusHandlers;

/* Connects at once or, where the bus is not there yet, as soon as it is. HANDLERS must stay. */
int bus_service_new(sd_event *event, const BusHandlers *handlers, void *userdata, BusService **ret,
                    Error *error);
BusService *bus_service_free(BusService *service);
DEFINE_CLEANUP(BusService *, bus_service_free)

/* Signals; dropped without a bus. */
void bus_service_changed(BusService *service);
void bus_service_progress(BusService *service, const char *app, const char *deployment, const char *json);
