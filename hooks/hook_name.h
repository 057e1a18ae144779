#pragma once

/* Names of hook units: muster-hook-<app>-<deployment>-<event>-<index>-<attempt>.service, where a "-" within a part is
 * escaped as systemd does it (\x2d), so that every part is what it says. */

#include "agent/base/lifecycle_event.h"

/* New memory. -ENAMETOOLONG: app and deployment are too long for a unit's name. */
int hook_unit_name(const char *app, const char *deployment, LifecycleEvent event, unsigned index,
                   unsigned attempt, char **ret);

/* What the names of all hook units of APP, or of one DEPLOYMENT of it (may be NULL), begin with. New memory. */
int hook_unit_prefix(const char *app, const char *deployment, char **ret);

/* The same for the units of health checks that are commands. New memory. */
int health_unit_prefix(const char *app, char **ret);
