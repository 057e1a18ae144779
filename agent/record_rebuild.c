#include <string.h>

#include "agent/base/strv.h"
#include "agent/deployment_id.h"
#include "agent/deployment_json.h"
#include "agent/installed.h"
#include "agent/record_history.h"
#include "agent/record_rebuild.h"

#define REASON "the deploy record could not be read"

int record_rebuild_add(Record *record, Deployment *deployment) {
        uint64_t accepted = MAX(deployment->accepted, deployment->serial);

        deployment_deinit(&record->deployment);
        record->deployment = *deployment;
        *deployment = (Deployment){};
        record->serial = MAX(record->serial, accepted);
        return record_end(record, record->deployment.boot_id);
}

int record_go_back_from(Record *record, const ReleaseRef *to, const char *reason, uint64_t now) {
        const DeploymentEvent found = {
                .kind = DEPLOYMENT_FOUND, .at = now, .reason = reason, .fault = FAULT_HOST
        };
        Deployment deployment = { .accepted = record->serial, .started = now };
        char id[DEPLOYMENT_ID_SIZE];

        deployment_id_make(now, record->deployment.id, 0, id);
        if (string_set(&deployment.id, id) < 0 || release_ref_copy(&deployment.to, to) < 0 ||
            release_ref_copy(&deployment.from, &record->good) < 0 ||
            deployment_apply(&deployment, &found) < 0) {
                deployment_deinit(&deployment);
                return -ENOMEM;
        }
        deployment_deinit(&record->deployment);
        record->deployment = deployment;
        return 0;
}

int record_rebuild_end(Record *record, const ReleaseRef *current, bool is_whole, uint64_t now) {
        if (!record->good.version || !is_whole) {
                /* Nothing says that it is bad, and nothing is there to go back to. */
                if (!current)
                        release_ref_deinit(&record->good);
                return current ? release_ref_copy(&record->good, current) : 0;
        }
        if (!current) {
                record->good_is_down = true;
                return 0;
        }
        return release_ref_equal(current, &record->good) ? 0
                                                         : record_go_back_from(record, current, REASON, now);
}

/* Newest first in HISTORY; what cannot be read of it is left out. */
static int add_history(Record *record, json_t *history) {
        int r = 0;

        for (size_t i = json_array_size(history); i > 0 && r >= 0; i--) {
                Deployment deployment;

                if (deployment_from_json(json_array_get(history, i - 1), &deployment, NULL) < 0)
                        continue;
                if (deployment_is_running(&deployment))
                        deployment_deinit(&deployment);
                else
                        r = record_rebuild_add(record, &deployment);
        }
        return r;
}

/* 1, or 0 if there is no current or its document cannot be read. */
static int find_current(const ReleaseStore *store, ReleaseRef *ret) {
        _cleanup_release_ Release *release = NULL;
        char name[STORE_NAME_SIZE];

        if (store_current(store, name, NULL) <= 0 || installed_load(store, name, NULL, &release, NULL) < 0)
                return 0;
        memcpy(ret->sha256, release->sha256, sizeof(ret->sha256));
        return string_set(&ret->version, release->version) < 0 ? -ENOMEM : 1;
}

static int rebuild(const ReleaseStore *store, uint64_t now, json_t *history, Record *record) {
        ReleaseRef current = {};
        char name[STORE_NAME_SIZE];
        bool is_whole;
        int r, q;

        r = add_history(record, history);
        if (r < 0)
                return r;
        q = find_current(store, &current);
        if (q < 0)
                return q;
        is_whole = record->good.version && store_name(record->good.version, record->good.sha256, name) >= 0 &&
                   store_has(store, name);
        r = record_rebuild_end(record, q > 0 ? &current : NULL, is_whole, now);
        release_ref_deinit(&current);
        return r;
}

int record_rebuild(const ReleaseStore *store, uint64_t now, Record *ret, Error *error) {
        json_auto_t *history = NULL;
        Record record = {};
        int r;

        r = record_read_history(store->app_fd, RECORD_HISTORY_MAX, &history, error);
        if (r < 0)
                return r;
        r = rebuild(store, now, history, &record);
        if (r < 0) {
                record_deinit(&record);
                return error_oom(error);
        }
        *ret = record;
        return 0;
}
