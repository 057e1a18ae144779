#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "hooks/event.h"

static const struct {
        const char *name;
        bool takes_hooks;
} events[_EVENT_MAX] = {
        [EVENT_BEFORE_BLOCK_TRAFFIC] = { "BeforeBlockTraffic", true },
        [EVENT_BLOCK_TRAFFIC] = { "BlockTraffic", false },
        [EVENT_AFTER_BLOCK_TRAFFIC] = { "AfterBlockTraffic", true },
        [EVENT_APPLICATION_STOP] = { "ApplicationStop", true },
        [EVENT_DOWNLOAD_BUNDLE] = { "DownloadBundle", false },
        [EVENT_BEFORE_INSTALL] = { "BeforeInstall", true },
        [EVENT_INSTALL] = { "Install", false },
        [EVENT_AFTER_INSTALL] = { "AfterInstall", true },
        [EVENT_APPLICATION_START] = { "ApplicationStart", true },
        [EVENT_VALIDATE_SERVICE] = { "ValidateService", true },
        [EVENT_BEFORE_ALLOW_TRAFFIC] = { "BeforeAllowTraffic", true },
        [EVENT_ALLOW_TRAFFIC] = { "AllowTraffic", false },
        [EVENT_AFTER_ALLOW_TRAFFIC] = { "AfterAllowTraffic", true },
};

const char *lifecycle_event_to_string(LifecycleEvent event) {
        return (size_t) event < _EVENT_MAX ? events[event].name : "unknown";
}

int lifecycle_event_from_string(const char *name, LifecycleEvent *ret) {
        for (size_t i = 0; i < _EVENT_MAX; i++)
                if (strcmp(name, events[i].name) == 0) {
                        *ret = (LifecycleEvent) i;
                        return 0;
                }
        return -EINVAL;
}

bool lifecycle_event_takes_hooks(LifecycleEvent event) {
        return (size_t) event < _EVENT_MAX && events[event].takes_hooks;
}
