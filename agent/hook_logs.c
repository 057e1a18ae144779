#include <string.h>

#include "agent/base/clock.h"
#include "agent/base/file.h"
#include "agent/base/folder.h"
#include "agent/base/log.h"
#include "agent/hook_logs.h"
#include "agent/record_history.h"
#include "hooks/output.h"

struct HookLogs {
        int app_fd;
        uint64_t interval;
        sd_event_source *timer;
};

static void trim_folder(int dirfd, const char *name) {
        _cleanup_close_ int fd = -1;
        int r;

        fd = file_open_at(dirfd, name, O_DIRECTORY | O_RDONLY, 0);
        r = fd < 0 ? fd : output_trim_folder(fd);
        if (r < 0)
                log_debug("cannot trim " RECORD_LOGS_FOLDER "/%s: %s", name, strerror(-r));
}

static void trim(const HookLogs *logs) {
        _cleanup_closedir_ DIR *dir = NULL;
        const char *name;

        if (folder_open(logs->app_fd, RECORD_LOGS_FOLDER, &dir) < 0)
                return;
        while (folder_next(dir, &name) > 0)
                trim_folder(dirfd(dir), name);
}

static int on_timer(sd_event_source *source, _unused_ uint64_t usec, void *userdata) {
        const HookLogs *logs = userdata;

        trim(logs);
        (void) sd_event_source_set_time_relative(source, logs->interval);
        return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

int hook_logs_new(sd_event *event, int app_fd, uint64_t interval_usec, HookLogs **ret, Error *error) {
        _cleanup_(hook_logs_freep) HookLogs *logs = NULL;
        int r;

        logs = malloc(sizeof(*logs));
        if (!logs)
                return error_oom(error);
        *logs = (HookLogs){ .app_fd = app_fd, .interval = interval_usec };
        r = sd_event_add_time_relative(event, &logs->timer, CLOCK_BOOTTIME, interval_usec,
                                       TIMER_ACCURACY_EXACT, on_timer, logs);
        if (r < 0)
                return error_set_errno(error, r, "cannot use the event loop");
        *ret = TAKE_PTR(logs);
        return 0;
}

HookLogs *hook_logs_free(HookLogs *logs) {
        if (!logs)
                return NULL;
        sd_event_source_unref(logs->timer);
        free(logs);
        return NULL;
}
