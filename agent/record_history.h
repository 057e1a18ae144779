#pragma once

/* The finished deployments of one app, each as history/<id>.json beside its record; the newest RECORD_HISTORY_MAX stay,
 * each with what its hooks wrote. Ids sort by time. */

#include <jansson.h>

#include "agent/deployment.h"

#define RECORD_HISTORY_MAX 50U
#define RECORD_LOGS_FOLDER "logs" /* a folder of it for each deployment: what its hooks wrote */

/* Keeps a deployment and removes the oldest ones, with what their hooks wrote. */
int record_keep_history(int app_fd, const Deployment *deployment, Error *error);

bool record_has_history(int app_fd, const char *id);

/* The newest LIMIT deployments, newest first, as a JSON array. */
int record_read_history(int app_fd, size_t limit, json_t **ret, Error *error);

/* Removes all of it, with what the hooks wrote. */
int record_forget_history(int app_fd);
