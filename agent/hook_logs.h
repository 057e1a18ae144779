#pragma once

/* Keeps small what daemons that hooks left behind go on writing: the output files of all deployments of an app are
 * looked at every minute (hooks/output.h says why they are files). */

#include <systemd/sd-event.h>

#include "agent/base/clock.h"
#include "agent/base/error.h"

#define HOOK_LOGS_INTERVAL (60 * USEC_PER_SEC)

typedef struct HookLogs HookLogs;

/* APP_FD must stay open. */
int hook_logs_new(sd_event *event, int app_fd, uint64_t interval_usec, HookLogs **ret, Error *error);
HookLogs *hook_logs_free(HookLogs *logs);
DEFINE_CLEANUP(HookLogs *, hook_logs_free)
