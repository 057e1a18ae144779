#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/file.h"
#include "agent/base/parse.h"
#include "agent/base/strv.h"
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

/* The apps that have ever been deployed here; the caller frees the list. */
static int list_apps(int state_fd, char ***ret, Error *error) {
        _cleanup_strv_ char **names = NULL;
        _cleanup_close_ int apps_fd = -1;
        struct dirent **entries;
        int n, r = 0;

        *ret = NULL;
        apps_fd = openat(state_fd, APPS_FOLDER, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (apps_fd < 0 && errno == ENOENT)
                return 0;
        n = apps_fd < 0 ? -1 : scandirat(apps_fd, ".", &entries, NULL, alphasort);
        if (n < 0)
                return error_set_errno(error, -errno, "cannot read the folder of the apps");
        for (int i = 0; i < n; i++) {
                if (r >= 0 && was_deployed(apps_fd, entries[i]->d_name))
                        r = strv_append(&names, entries[i]->d_name);
                free(entries[i]);
        }
        free(entries);
        if (r < 0)
                return error_oom(error);
        *ret = TAKE_PTR(names);
        return 0;
}

int local_add_apps(Config *config, int state_fd, Error *error) {
        _cleanup_strv_ char **names = NULL;
        int r;

        r = list_apps(state_fd, &names, error);
        STRV_FOREACH(name, names)
                if (r >= 0)
                        r = add_app(config, *name, error);
        return r;
}

static bool has_release(int state_fd, const char *app) {
        char path[sizeof(APPS_FOLDER "//current") + NAME_MAX];

        (void) snprintf(path, sizeof(path), APPS_FOLDER "/%s/current", app);
        return faccessat(state_fd, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

int local_find_unattended(Config *config, int state_fd, char ***ret, Error *error) {
        _cleanup_strv_ char **names = NULL, **unattended = NULL;
        int r;

        r = list_apps(state_fd, &names, error);
        if (r < 0)
                return r;
        STRV_FOREACH(name, names)
                if (!config_find_app(config, *name) && has_release(state_fd, *name) &&
                    strv_append(&unattended, *name) < 0)
                        return error_oom(error);
        *ret = TAKE_PTR(unattended);
        return 0;
}
