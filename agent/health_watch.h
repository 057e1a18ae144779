#pragma once

/* Runs the health checks of the release that serves again and again, if the configuration says so: restarts the units of one
 * that fails, and where that does not help and it is told so, tells the Auto Scaling group to replace the instance
 * (health_verdict.h decides). It lives while the app serves: not during a deployment, and not on an instance that is
 * about to leave. */

#include <jansson.h>

#include "agent/engine.h"
#include "agent/health_verdict.h"

typedef struct HealthWatch HealthWatch;

/* What it has to say has changed. */
typedef void (*HealthWatchChanged)(void *userdata);

/* CONTEXT is copied; what it points to must stay, and with it the record's good release. STATE is the app's: it outlives the
 * watch, and a deployment. */
int health_watch_new(const EngineContext *context, const AppConfig *config, HealthState *state,
                     HealthWatchChanged changed, void *userdata, HealthWatch **ret, Error *error);

/* {"state": "healthy|failing|restarting|unhealthy", "failed", "restarts", "reason", "replacement"}; -ENOMEM. */
int health_watch_to_json(const HealthWatch *watch, json_t **ret);

HealthWatch *health_watch_free(HealthWatch *watch);
DEFINE_CLEANUP(HealthWatch *, health_watch_free)
