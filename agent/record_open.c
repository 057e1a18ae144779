#include <stdio.h>
#include <string.h>

#include "agent/base/file.h"
#include "agent/base/strv.h"
#include "agent/current_keep.h"
#include "agent/record_copy.h"
#include "agent/record_history.h"
#include "agent/record_open.h"

/* Whatever is there is no record. Anything else may be there again with the next try. */
static bool is_unreadable(int r) {
        return r == -EINVAL || r == -E2BIG || r == -EISDIR || r == -ELOOP || r == -ENXIO || r == -ENODEV;
}

int record_read(const ReleaseStore *store, uint64_t now, Record *ret, char note[static RECORD_NOTE_MAX],
                Error *error) {
        Error problem = {};
        int r;

        note[0] = '\0';
        r = record_load(store->app_fd, ret, &problem);
        if (r > 0)
                return 0;
        if (r < 0 && !is_unreadable(r)) {
                if (error)
                        *error = problem;
                return r;
        }
        if (r < 0)
                snprintf(note, RECORD_NOTE_MAX, "%s; it is made anew from the history and the store",
                         problem.message);
        r = record_rebuild(store, now, ret, error);
        if (r >= 0 && !note[0] && (ret->good.version || ret->deployment.id))
                snprintf(note, RECORD_NOTE_MAX,
                         "the deploy record is missing; it is made anew from the history and the store");
        return r;
}

bool record_is_foreign(const Record *record, const RecordOwner *owner) {
        const char *instance = owner->instance;

        if (!instance)
                instance = owner->configured;
        if (!instance && owner->machine)
                instance = owner->machine->instance;
        if (instance)
                return record->instance && strcmp(record->instance, instance) != 0;
        return record->machine && owner->machine && owner->machine->fingerprint &&
               strcmp(record->machine, owner->machine->fingerprint) != 0;
}

static int set_aside(const ReleaseStore *store, Error *error) {
        int r;

        r = file_remove_tree_at(store->app_fd, RECORD_BAD_FILE);
        if (r >= 0 && renameat(store->app_fd, RECORD_FILE, store->app_fd, RECORD_BAD_FILE) < 0)
                r = errno == ENOENT ? 0 : -errno;
        return r < 0 ? error_set_errno(error, r, "cannot set the deploy record aside") : 0;
}

/* What is left is what guards against going back, and the way to take down what runs. */
static int start_over(const ReleaseStore *store, uint64_t now, Record *record) {
        const ReleaseRef *runs = record->good.version ? &record->good : &record->deployment.to;
        _cleanup_free_ char *reason = NULL;
        Record fresh = { .serial = record->serial };
        int r = 0;

        if (asprintf(&reason, "this instance was made from an image of %s", record->instance) < 0) {
                reason = NULL;
                return -ENOMEM;
        }
        memcpy(fresh.target_sha256, record->target_sha256, sizeof(fresh.target_sha256));
        if (runs->version)
                r = record_go_back_from(&fresh, runs, reason, now);
        if (r < 0)
                return r;
        (void) record_forget_history(store->app_fd);
        fresh.group = TAKE_PTR(record->group);
        record_deinit(record);
        *record = fresh;
        return 0;
}

static int own(Record *record, const RecordOwner *owner) {
        if (string_set(&record->app, owner->app) < 0 ||
            (owner->instance && string_set(&record->instance, owner->instance) < 0))
                return -ENOMEM;
        return owner->machine ? string_set(&record->machine, owner->machine->fingerprint) : 0;
}

/* Somebody, or muster-recover for a machine that it took for another one, has removed what the good release runs from, or
 * has put something else there: what has been started since is not the good release. */
static void check_current(const ReleaseStore *store, Record *record) {
        if (!current_is_right(store, record))
                record->good_is_down = true;
}

int record_open(const ReleaseStore *store, const RecordOwner *owner, uint64_t now, Record *ret,
                char note[static RECORD_NOTE_MAX], Error *error) {
        _cleanup_(record_deinit) Record record = {};
        int r;

        r = record_read(store, now, &record, note, error);
        if (r >= 0 && note[0])
                r = set_aside(store, error);
        if (r < 0)
                return r;
        if (note[0] && record_copy_take(store->app_fd, owner->instance, &record) < 0)
                return error_oom(error);
        if (record_is_foreign(&record, owner)) {
                snprintf(note, RECORD_NOTE_MAX,
                         "this instance was made from an image of %s: nothing of its record holds",
                         record.instance);
                if (start_over(store, now, &record) < 0)
                        return error_oom(error);
        }
        if (own(&record, owner) < 0)
                return error_oom(error);
        check_current(store, &record);
        if (note[0]) {
                r = record_save(store->app_fd, &record, error);
                if (r < 0)
                        return r;
        }
        (void) record_copy_keep(store->app_fd, &record,
                                NULL); /* of no use but for another start like that one */
        *ret = record;
        record = (Record){};
        return 0;
}
