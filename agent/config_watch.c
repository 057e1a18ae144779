#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "agent/base/log.h"
#include "agent/config_watch.h"

struct ConfigWatch {
        ConfigChanged changed;
        void *userdata;
        int fd;
        sd_event_source *source;
};

static int on_inotify(_unused_ sd_event_source *source, int fd, _unused_ uint32_t events, void *userdata) {
        ConfigWatch *watch = userdata;
        char data[4096];

        while (read(fd, data, sizeof(data)) > 0)
                ;
        watch->changed(watch->userdata);
        return 0;
}

static void watch_folder(ConfigWatch *watch, const char *path) {
        if (inotify_add_watch(watch->fd, path, IN_CLOSE_WRITE | IN_MOVED_TO | IN_DELETE | IN_CREATE) < 0)
                log_debug("cannot watch %s: %s", path, strerror(errno));
}

/* Of the file and of its drop-ins. */
static int watch_folders(ConfigWatch *watch, const char *path) {
        const char *slash = strrchr(path, '/');
        _cleanup_free_ char *drop_ins = NULL,
                            *folder = slash ? strndup(path, (size_t) MAX(slash - path, 1)) : strdup(".");

        if (!folder || asprintf(&drop_ins, "%s.d", path) < 0) {
                drop_ins = NULL;
                return -ENOMEM;
        }
        watch_folder(watch, folder);
        watch_folder(watch, drop_ins);
        return 0;
}

int config_watch_new(sd_event *event, const char *path, ConfigChanged changed, void *userdata,
                     ConfigWatch **ret, Error *error) {
        _cleanup_(config_watch_freep) ConfigWatch *watch = malloc(sizeof(*watch));
        int r;

        if (!watch)
                return error_oom(error);
        *watch = (ConfigWatch){ .changed = changed, .userdata = userdata };
        watch->fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
        if (watch->fd < 0) {
                log_warning(
                        "cannot watch for changes of the configuration (%s): after one, run systemctl reload musterd",
                        strerror(errno));
                *ret = TAKE_PTR(watch);
                return 0;
        }
        r = watch_folders(watch, path);
        if (r < 0)
                return error_oom(error);
        r = sd_event_add_io(event, &watch->source, watch->fd, EPOLLIN, on_inotify, watch);
        if (r < 0)
                return error_set_errno(error, r, "cannot use the event loop");
        *ret = TAKE_PTR(watch);
        return 0;
}

ConfigWatch *config_watch_free(ConfigWatch *watch) {
        if (!watch)
                return NULL;
        sd_event_source_disable_unref(watch->source);
        close_fd(watch->fd);
        free(watch);
        return NULL;
}
