#include "agent/current_keep.h"

static bool is_named(const ReleaseStore *store, const ReleaseRef *release) {
        char name[STORE_NAME_SIZE];

        return store_name(release->version, release->sha256, name) >= 0 && store_is_current(store, name);
}

bool current_is_right(const ReleaseStore *store, const Record *record) {
        return !record->good.version || record->good_is_down || deployment_is_running(&record->deployment) ||
               is_named(store, &record->good);
}

int current_keep(const ReleaseStore *store, const ReleaseRef *release, Error *error) {
        char name[STORE_NAME_SIZE];
        int r;

        if (is_named(store, release))
                return 0;
        r = store_name(release->version, release->sha256, name);
        if (r < 0)
                return error_set(error, r, "'%s' is no version", release->version);
        r = store_switch_current(store, name, error);
        return r < 0 ? r : 1;
}
