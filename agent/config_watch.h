#pragma once

/* Tells that the configuration may have changed: its file, or what lies in its folder of drop-ins (FILE.d). */

#include <systemd/sd-event.h>

#include "agent/base/cleanup.h"
#include "agent/base/error.h"

typedef struct ConfigWatch ConfigWatch;

/* From the event loop; once for each time that anything in one of the folders is written, moved in or removed. */
typedef void (*ConfigChanged)(void *userdata);

/* PATH: of the file; need not be there, nor its drop-ins. Where the kernel watches nothing more
 * (fs.inotify.max_user_instances), the journal is told that a change needs a reload, and that is all: no agent stays
 * away for that. */
int config_watch_new(sd_event *event, const char *path, ConfigChanged changed, void *userdata,
                     ConfigWatch **ret, Error *error);
ConfigWatch *config_watch_free(ConfigWatch *watch);
DEFINE_CLEANUP(ConfigWatch *, config_watch_free)
