#pragma once

/* The lifecycle events of a deploy: names and order are CodeDeploy's
 * (https://docs.aws.amazon.com/codedeploy/latest/userguide/reference-appspec-file-structure-hooks.html). */

#include <stdbool.h>

typedef enum LifecycleEvent {
        LIFECYCLE_BEFORE_BLOCK_TRAFFIC,
        LIFECYCLE_BLOCK_TRAFFIC, /* the agent's own */
        LIFECYCLE_AFTER_BLOCK_TRAFFIC,
        LIFECYCLE_APPLICATION_STOP,
        LIFECYCLE_DOWNLOAD_BUNDLE, /* the agent's own */
        LIFECYCLE_BEFORE_INSTALL,
        LIFECYCLE_INSTALL, /* the agent's own */
        LIFECYCLE_AFTER_INSTALL,
        LIFECYCLE_APPLICATION_START,
        LIFECYCLE_VALIDATE_SERVICE,
        LIFECYCLE_BEFORE_ALLOW_TRAFFIC,
        LIFECYCLE_ALLOW_TRAFFIC, /* the agent's own */
        LIFECYCLE_AFTER_ALLOW_TRAFFIC,
        LIFECYCLE_EVENT_COUNT,
} LifecycleEvent;

/* "ApplicationStop" */
const char *lifecycle_event_to_string(LifecycleEvent event);

/* Case counts, as in CodeDeploy. -EINVAL for anything else. */
int lifecycle_event_from_string(const char *name, LifecycleEvent *ret);

/* Whether it is one of those around the instance's leaving its target groups and joining them again. */
bool lifecycle_event_is_traffic(LifecycleEvent event);
