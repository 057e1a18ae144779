#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "agent/base/lifecycle_event.h"

static const struct {
        const char *name;
        bool takes_hooks;
} events[LIFECYCLE_EVENT_COUNT] = {
        [LIFECYCLE_BEFORE_BLOCK_TRAFFIC] = { "BeforeBlockTraffic", true },
        [LIFECYCLE_BLOCK_TRAFFIC] = { "BlockTraffic", false },
        [LIFECYCLE_AFTER_BLOCK_TRAFFIC] = { "AfterBlockTraffic", true },
        [LIFECYCLE_APPLICATION_STOP] = { "ApplicationStop", true },
        [LIFECYCLE_DOWNLOAD_BUNDLE] = { "DownloadBundle", false },
        [LIFECYCLE_BEFORE_INSTALL] = { "BeforeInstall", true },
        [LIFECYCLE_INSTALL] = { "Install", false },
        [LIFECYCLE_AFTER_INSTALL] = { "AfterInstall", true },
        [LIFECYCLE_APPLICATION_START] = { "ApplicationStart", true },
        [LIFECYCLE_VALIDATE_SERVICE] = { "ValidateService", true },
        [LIFECYCLE_BEFORE_ALLOW_TRAFFIC] = { "BeforeAllowTraffic", true },
        [LIFECYCLE_ALLOW_TRAFFIC] = { "AllowTraffic", false },
        [LIFECYCLE_AFTER_ALLOW_TRAFFIC] = { "AfterAllowTraffic", true },
};

const char *lifecycle_event_to_string(LifecycleEvent event) {
        return events[event].name;
}

int lifecycle_event_from_string(const char *name, LifecycleEvent *ret) {
        for (size_t i = 0; i < LIFECYCLE_EVENT_COUNT; i++)
                if (strcmp(events[i].name, name) == 0) {
                        *ret = (LifecycleEvent) i;
                        return 0;
                }
        return -EINVAL;
}

bool lifecycle_event_takes_hooks(LifecycleEvent event) {
        return events[event].takes_hooks;
}

bool lifecycle_event_is_traffic(LifecycleEvent event) {
        return event < LIFECYCLE_APPLICATION_STOP || event > LIFECYCLE_VALIDATE_SERVICE;
}
