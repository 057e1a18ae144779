#pragma once

/* The lifecycle events of a deploy: names and order are CodeDeploy's
 * (https://docs.aws.amazon.com/codedeploy/latest/userguide/reference-appspec-file-structure-hooks.html). */

#include <stdbool.h>

typedef enum LifecycleEvent {
        EVENT_BEFORE_BLOCK_TRAFFIC,
        EVENT_BLOCK_TRAFFIC, /* the agent's own */
        EVENT_AFTER_BLOCK_TRAFFIC,
        EVENT_APPLICATION_STOP,
        EVENT_DOWNLOAD_BUNDLE, /* the agent's own */
        EVENT_BEFORE_INSTALL,
        EVENT_INSTALL, /* the agent's own */
        EVENT_AFTER_INSTALL,
        EVENT_APPLICATION_START,
        EVENT_VALIDATE_SERVICE,
        EVENT_BEFORE_ALLOW_TRAFFIC,
        EVENT_ALLOW_TRAFFIC, /* the agent's own */
        EVENT_AFTER_ALLOW_TRAFFIC,
        _EVENT_MAX,
} LifecycleEvent;

/* "ApplicationStop" */
const char *lifecycle_event_to_string(LifecycleEvent event);

/* Case counts, as in CodeDeploy. -EINVAL for anything else. */
int lifecycle_event_from_string(const char *name, LifecycleEvent *ret);

/* Whether a release may have hooks for it; for the others CodeDeploy's agent acts itself, and scripts are refused. */
bool lifecycle_event_takes_hooks(LifecycleEvent event);
