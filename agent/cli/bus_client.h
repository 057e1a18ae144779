#pragma once

/* musterd as the command line sees it: calls of org.muster.Agent1 (agent/bus.h) and what their errors mean. -ETIMEDOUT if it
 * runs but hangs: after 5 seconds, or after 60 where it writes to the disk first. */

#include <stdbool.h>
#include <systemd/sd-bus.h>

#include "agent/base/error.h"

/* -ECONNREFUSED, with a sentence that says what to look at, if there is no system bus; each call says the same if
 * nobody serves the name. */
int bus_client_open(sd_bus **ret, Error *error);

/* New memory: the JSON text. APP "" is every app. */
int bus_client_status(sd_bus *bus, char **ret_json, Error *error);
int bus_client_history(sd_bus *bus, const char *app, uint32_t limit, char **ret_json, Error *error);

/* ARCHIVE_FD is borrowed. New memory: the deployment's id. */
int bus_client_deploy_local(sd_bus *bus, const char *release_json, int archive_fd, char **ret_id,
                            Error *error);

/* Likewise; PATHS_FD has what is installed (codedeploy_cleanup.h). */
int bus_client_adopt(sd_bus *bus, const char *release_json, int archive_fd, int paths_fd, char **ret_id,
                     Error *error);

int bus_client_poll(sd_bus *bus, Error *error);
int bus_client_check_installed(sd_bus *bus, Error *error);

/* CHANGED is false where it was so already. New memory: the id of the deployment that this began, or "". */
int bus_client_pin_local(sd_bus *bus, const char *app, const char *version, const char *reason,
                         bool *ret_changed, char **ret_id, Error *error);
int bus_client_unpin_local(sd_bus *bus, const char *app, bool *ret_changed, Error *error);

/* Calls HANDLER for each SIGNAL of musterd, for as long as BUS lives. */
int bus_client_watch(sd_bus *bus, const char *signal, sd_bus_message_handler_t handler, void *userdata,
                     Error *error);

#define _cleanup_bus_ _cleanup_(sd_bus_flush_close_unrefp)
