#pragma once

/* The deployments of one app for the bus and the command line. */

#include <jansson.h>

#include "agent/deployment.h"

/* The newest LIMIT deployments, newest first: RUNNING (or NULL), and those of the history below APP_FD. */
int app_history_read(const char *app, int app_fd, const Deployment *running, size_t limit, json_t **ret,
                     Error *error);
