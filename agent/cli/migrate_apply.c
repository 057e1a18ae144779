#include <sys/mman.h>

#include "agent/base/file.h"
#include "agent/cli/bus_client.h"
#include "agent/cli/deploy_watch.h"
#include "agent/cli/migrate_apply.h"

/* What muster would do over and above CodeDeploy begins with the next release. */
static void keep_what_ran(Release *release) {
        schema_clear(&release_units_type, &release->units);
        schema_clear(&release_healths_type, &release->health);
        release->traffic = RELEASE_TRAFFIC_NONE;
}

/* A file of the paths, as CodeDeploy's own list has them. */
static int write_paths(const CodedeployGroup *group, Error *error) {
        _cleanup_close_ int fd = memfd_create("installed", MFD_CLOEXEC);
        _cleanup_buffer_ Buffer text = {};
        int r = fd < 0 ? -errno : 0;

        STRV_FOREACH(path, group->installed)
                if (r >= 0)
                        r = buffer_printf(&text, "%s\n", *path);
        if (r >= 0)
                r = file_write_fd(fd, text.data, text.size);
        return r < 0 ? error_set_errno(error, r, "cannot write down what is installed") : TAKE_FD(fd);
}

static int hand_over(sd_bus *bus, const CodedeployGroup *group, const ReleaseSource *source, char **ret_id,
                     Error *error) {
        _cleanup_free_ char *payload = NULL;
        _cleanup_close_ int paths_fd = -1;
        size_t size;
        int r;

        r = release_to_json(source->release, &payload, &size, error);
        if (r < 0)
                return r;
        paths_fd = write_paths(group, error);
        return paths_fd < 0
                       ? paths_fd
                       : bus_client_adopt(bus, payload, source->bundles[0].archive, paths_fd, ret_id, error);
}

int migrate_apply(const Cli *cli, const CodedeployGroup *group, ReleaseSource *source, json_t **ret,
                  Error *error) {
        _cleanup_free_ char *status = NULL, *id = NULL;
        _cleanup_bus_ sd_bus *bus = NULL;
        DeployWatch watch;
        int r;

        keep_what_ran(source->release);
        r = bus_client_open(&bus, error);
        if (r >= 0)
                r = bus_client_status(bus, &status, error); /* before anything is packed */
        if (r >= 0)
                r = release_source_seal(source, cli, error);
        if (r >= 0)
                r = deploy_watch_open(&watch, cli, bus, source->release->app, error);
        if (r >= 0)
                r = hand_over(bus, group, source, &id, error);
        return r < 0 ? r : deploy_watch_follow(&watch, id, ret, error);
}
