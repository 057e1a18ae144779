#include <fcntl.h>
#include <string.h>

#include "agent/base/file.h"
#include "agent/base/folder.h"
#include "agent/base/strv.h"
#include "agent/environment.h"
#include "agent/placement.h"

#define ENVIRONMENTS_FOLDER "environments"
#define ENVIRONMENT_LINK "environment"
#define ENVIRONMENT_MODE 0600
#define ENVIRONMENTS_FOLDER_MODE 0700
#define ENVIRONMENT_DIGITS 12

static int environment_path(const ReleaseRef *ref, const char *env_sha256, char **ret) {
        char name[STORE_NAME_SIZE];
        int r;

        r = store_name(ref->version, ref->sha256, name);
        if (r < 0)
                return r;
        r = asprintf(ret, ENVIRONMENTS_FOLDER "/%s-%.*s", name, ENVIRONMENT_DIGITS, env_sha256);
        return r < 0 ? -ENOMEM : 0;
}

static int write_environment(const Placement *placement, const char *path, const Release *release,
                             char *const *group_environment) {
        _cleanup_strv_ char **environment = NULL;
        _cleanup_free_ char *text = NULL;
        _cleanup_close_ int fd = -1;
        int r;

        fd = file_open_folder_at(placement->store->app_fd, ENVIRONMENTS_FOLDER, ENVIRONMENTS_FOLDER_MODE);
        if (fd < 0)
                return fd;
        r = environment_of_app(release, group_environment, &environment);
        if (r >= 0)
                r = environment_to_file(environment, &text);
        if (r < 0)
                return r;
        return file_replace_at(placement->store->app_fd, path, text, strlen(text), ENVIRONMENT_MODE);
}

int placement_write_environment(const Placement *placement, const ReleaseRef *ref, const Release *release,
                                char *const *group_environment, const char *env_sha256, Error *error) {
        _cleanup_free_ char *path = NULL;
        int r;

        r = environment_path(ref, env_sha256, &path);
        if (r >= 0)
                r = write_environment(placement, path, release, group_environment);
        return r < 0 ? error_set_errno(error, r, "cannot write the environment of release %s", ref->version)
                     : 0;
}

static int switch_environment(const Placement *placement, const ReleaseRef *ref, const char *env_sha256) {
        _cleanup_free_ char *path = NULL;
        int r;

        r = environment_path(ref, env_sha256, &path);
        return r < 0 ? r : file_replace_symlink_at(placement->store->app_fd, ENVIRONMENT_LINK, path);
}

static int install_unit(Placement *placement, int release_fd, const ReleaseUnit *unit, Error *error) {
        _cleanup_free_ char *environment = NULL;
        _cleanup_close_ int source = -1;
        bool changed = false;
        int r;

        source = file_open_at(release_fd, unit->file, O_RDONLY | O_NOCTTY, 0);
        if (source < 0) {
                error_set_errno(error, source, "cannot open the unit file %s of the release", unit->file);
                error_blame(error, FAULT_RELEASE);
                return source;
        }
        r = unit_file_install(placement->files, placement->app, unit->name, source, &changed, error);
        placement->units_changed |= changed;
        if (r < 0 || !string_ends_with(unit->name, ".service"))
                return r;
        if (asprintf(&environment, "%s/" ENVIRONMENT_LINK, placement->store->path) < 0) {
                environment = NULL;
                return error_oom(error);
        }
        r = unit_file_set_environment(placement->files, placement->app, unit->name, environment, &changed,
                                      error);
        placement->units_changed |= changed;
        return r;
}

static int install_units(Placement *placement, const Release *release, const char *name, Error *error) {
        _cleanup_close_ int release_fd = -1;
        int r = 0;

        release_fd = store_open_release(placement->store, name, error);
        if (release_fd < 0)
                return release_fd;
        for (size_t i = 0; i < release->units.n && r >= 0; i++)
                if (release->units.items[i].file)
                        r = install_unit(placement, release_fd, &release->units.items[i], error);
        return r;
}

int placement_put(Placement *placement, const ReleaseRef *ref, const Release *release, const char *env_sha256,
                  Error *error) {
        char name[STORE_NAME_SIZE];
        int r;

        r = store_name(ref->version, ref->sha256, name);
        if (r < 0)
                return error_set(error, r, "'%s' is no version", ref->version);
        r = switch_environment(placement, ref, env_sha256);
        if (r < 0)
                return error_set_errno(error, r, "cannot put the environment of release %s in force",
                                       ref->version);
        r = store_switch_current(placement->store, name, error);
        return r < 0 ? r : install_units(placement, release, name, error);
}

/* It is there as a rule, and then nothing is written: a way back needs no room on the disk. */
static int keep_environment(const Placement *placement, const Record *record, const Release *release,
                            Error *error) {
        _cleanup_free_ char *path = NULL;
        _cleanup_close_ int fd = -1;
        int r;

        r = environment_path(&record->good, record->good_env_sha256, &path);
        if (r < 0)
                return error_set(error, r, "'%s' is no version", record->good.version);
        fd = file_open_at(placement->store->app_fd, path, O_PATH, 0);
        if (fd != -ENOENT)
                return 0;
        return placement_write_environment(placement, &record->good, release, record->good_environment,
                                           record->good_env_sha256, error);
}

int placement_put_back(Placement *placement, const Record *record, const Release *release, Error *error) {
        int r = keep_environment(placement, record, release, error);

        return r < 0 ? r : placement_put(placement, &record->good, release, record->good_env_sha256, error);
}

int placement_clear(Placement *placement, Error *error) {
        int r;

        r = file_remove_at(placement->store->app_fd, ENVIRONMENT_LINK);
        if (r < 0)
                return error_set_errno(error, r, "cannot remove the environment");
        return store_remove_current(placement->store, error);
}

void placement_prune_environments(const ReleaseStore *store, const Record *record) {
        _cleanup_free_ char *in_force = NULL, *of_good = NULL;
        _cleanup_closedir_ DIR *dir = NULL;
        const char *name;

        if (file_read_link_at(store->app_fd, ENVIRONMENT_LINK, &in_force) < 0)
                return;
        if (record->good.version && environment_path(&record->good, record->good_env_sha256, &of_good) < 0)
                return;
        if (folder_open(store->app_fd, ENVIRONMENTS_FOLDER, &dir) < 0)
                return;
        while (folder_next(dir, &name) > 0)
                if (!string_ends_with(in_force, name) && !(of_good && string_ends_with(of_good, name)))
                        (void) unlinkat(dirfd(dir), name, 0); /* temporary files of a killed writer, too */
}

static bool release_has_unit(const Release *release, const char *name) {
        for (size_t i = 0; release && i < release->units.n; i++)
                if (release->units.items[i].file && strcmp(release->units.items[i].name, name) == 0)
                        return true;
        return false;
}

int placement_list_surplus(const Placement *placement, const Release *release, char ***ret, Error *error) {
        _cleanup_strv_ char **owned = NULL, **surplus = NULL;
        int r;

        r = unit_files_list(placement->files, placement->app, &owned, error);
        if (r < 0)
                return r;
        STRV_FOREACH(name, owned)
                if (!release_has_unit(release, *name) && strv_append(&surplus, *name) < 0)
                        return error_oom(error);
        *ret = TAKE_PTR(surplus);
        return 0;
}
