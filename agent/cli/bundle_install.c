#include "agent/cli/bundle_install.h"
#include "artifacts/file_map.h"
#include "artifacts/file_source.h"

static int map_bundle(const Bundle *bundle, ReleaseFiles *files, FileMap *map, Error *error) {
        _cleanup_buffer_ Buffer manifest = {};
        int r;

        r = archive_manifest(bundle->archive, &bundle->facts, &manifest, error);
        if (r >= 0)
                r = file_source_resolve(files, manifest.data, manifest.size, error);
        if (r >= 0)
                r = file_map_add_manifest(map, manifest.data, manifest.size, error);
        return r < 0 ? r : file_map_finish(map, error);
}

int bundle_check_install(const Bundle *bundle, Release *release, const char *appspec, Error *error) {
        _cleanup_file_map_ FileMap map = {};
        int r;

        if (release->files.n == 0)
                return 0;
        if (file_map_init(&map, &release->files, &release->permissions) < 0)
                return error_oom(error);
        map.name = appspec;
        r = map_bundle(bundle, &release->files, &map, error);
        if (r == -EBADMSG)
                error_blame(error, FAULT_INPUT);
        return r;
}
