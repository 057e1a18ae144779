#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/file.h"
#include "agent/base/parse.h"
#include "agent/local.h"

#define APPS_FOLDER "apps"
#define RECORD "record.json"

static bool was_deployed(int apps_fd, const char *name) {
        _cleanup_close_ int fd = -1;

        if (!name_is_valid(name))
                return false;
        fd = openat(apps_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        return fd >= 0 && faccessat(fd, RECORD, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static int add_app(Config *config, const char *name, Error *error) {
        bool known = config_find_app(config, name);
        AppConfig *app;
        int r;

        r = config_add_app(config, name, &app, error);
        if (r >= 0 && !known)
                app->required = false;
        return r;
}

int local_add_apps(Config *config, int state_fd, Error *error) {
        _cleanup_close_ int apps_fd = -1;
        struct dirent **entries;
        int n, r = 0;

        apps_fd = openat(state_fd, APPS_FOLDER, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (apps_fd < 0 && errno == ENOENT)
                return 0;
        n = apps_fd < 0 ? -1 : scandirat(apps_fd, ".", &entries, NULL, alphasort);
        if (n < 0)
                return error_set_errno(error, -errno, "cannot read the folder of the apps");
        for (int i = 0; i < n; i++) {
                if (r >= 0 && was_deployed(apps_fd, entries[i]->d_name))
                        r = add_app(config, entries[i]->d_name, error);
                free(entries[i]);
        }
        free(entries);
        return r;
}
