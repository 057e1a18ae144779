#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "agent/base/lifecycle_event.h"

static const char *const names[LIFECYCLE_EVENT_COUNT] = {
        [LIFECYCLE_BEFORE_BLOCK_TRAFFIC] = "BeforeBlockTraffic",
        [LIFECYCLE_BLOCK_TRAFFIC] = "BlockTraffic",
        [LIFECYCLE_AFTER_BLOCK_TRAFFIC] = "AfterBlockTraffic",
        [LIFECYCLE_APPLICATION_STOP] = "ApplicationStop",
        [LIFECYCLE_DOWNLOAD_BUNDLE] = "DownloadBundle",
        [LIFECYCLE_BEFORE_INSTALL] = "BeforeInstall",
        [LIFECYCLE_INSTALL] = "Install",
        [LIFECYCLE_AFTER_INSTALL] = "AfterInstall",
        [LIFECYCLE_APPLICATION_START] = "ApplicationStart",
        [LIFECYCLE_VALIDATE_SERVICE] = "ValidateService",
        [LIFECYCLE_BEFORE_ALLOW_TRAFFIC] = "BeforeAllowTraffic",
        [LIFECYCLE_ALLOW_TRAFFIC] = "AllowTraffic",
        [LIFECYCLE_AFTER_ALLOW_TRAFFIC] = "AfterAllowTraffic",
};

const char *lifecycle_event_to_string(LifecycleEvent event) {
        return names[event];
}

int lifecycle_event_from_string(const char *name, LifecycleEvent *ret) {
        for (size_t i = 0; i < LIFECYCLE_EVENT_COUNT; i++)
                if (strcmp(names[i], name) == 0) {
                        *ret = (LifecycleEvent) i;
                        return 0;
                }
        return -EINVAL;
}

bool lifecycle_event_is_traffic(LifecycleEvent event) {
        return event < LIFECYCLE_APPLICATION_STOP || event > LIFECYCLE_VALIDATE_SERVICE;
}
