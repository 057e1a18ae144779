#include <string.h>

#include "agent/base/strv.h"
#include "agent/installed.h"
#include "agent/instance_pin.h"
#include "agent/record_copy.h"

#define SUFFIX_SIZE (1 + STORE_DIGEST_DIGITS) /* "-" and the digits */

static bool is_called(const StoreEntry *entry, const char *version) {
        size_t n = strlen(entry->name);

        if (strcmp(entry->name, version) == 0)
                return true;
        return n > SUFFIX_SIZE && strlen(version) == n - SUFFIX_SIZE &&
               strncmp(entry->name, version, n - SUFFIX_SIZE) == 0;
}

static int none_is_called(const StoreEntry *entries, size_t n, const char *version, Error *error) {
        _cleanup_buffer_ Buffer names = {};

        for (size_t i = 0; i < n; i++)
                if (buffer_printf(&names, "%s%.*s", i > 0 ? ", " : "",
                                  (int) (strlen(entries[i].name) - SUFFIX_SIZE), entries[i].name) < 0)
                        return error_oom(error);
        return error_set_fault(error, -ENOENT, FAULT_INPUT,
                               "release %.64s is not on this instance; there is: %.512s", version,
                               n > 0 ? buffer_string(&names) : "none");
}

static int several_are_called(const StoreEntry *entries, size_t n, const char *version, Error *error) {
        _cleanup_buffer_ Buffer names = {};

        for (size_t i = 0; i < n; i++)
                if (is_called(&entries[i], version) &&
                    buffer_printf(&names, "%s%s", names.size > 0 ? ", " : "", entries[i].name) < 0)
                        return error_oom(error);
        return error_set_fault(error, -EINVAL, FAULT_INPUT,
                               "several releases on this instance are called %.64s: say one of %.512s",
                               version, buffer_string(&names));
}

static int choose(const StoreEntry *entries, size_t n, const ReleaseRef *good, const char *version,
                  char ret[static STORE_NAME_SIZE], Error *error) {
        const StoreEntry *found = NULL;
        char serving[STORE_NAME_SIZE] = "";
        size_t n_found = 0;

        if (good->version)
                (void) store_name(good->version, good->sha256, serving);
        for (size_t i = 0; i < n; i++) {
                if (!is_called(&entries[i], version))
                        continue;
                n_found++;
                found = &entries[i];
                if (strcmp(found->name, serving) == 0 || strcmp(found->name, version) == 0) {
                        n_found = 1;
                        break;
                }
        }
        if (n_found == 0)
                return none_is_called(entries, n, version, error);
        if (n_found > 1)
                return several_are_called(entries, n, version, error);
        memcpy(ret, found->name, STORE_NAME_SIZE);
        return 0;
}

static int name_release(const ReleaseStore *store, const char *name, ReleaseRef *ret, Error *error) {
        _cleanup_release_ Release *release = NULL;
        char expected[STORE_NAME_SIZE];
        ReleaseRef ref;
        int r;

        r = installed_load(store, name, NULL, &release, error);
        if (r < 0)
                return r;
        if (store_name(release->version, release->sha256, expected) < 0 || strcmp(expected, name) != 0)
                return error_set_fault(error, -EBADMSG, FAULT_HOST,
                                       "the document of release %s in the store is another release's", name);
        ref.version = release->version;
        memcpy(ref.sha256, release->sha256, sizeof(ref.sha256));
        return release_ref_copy(ret, &ref) < 0 ? error_oom(error) : 0;
}

static int find_release(const ReleaseStore *store, const ReleaseRef *good, const char *version,
                        ReleaseRef *ret, Error *error) {
        _cleanup_free_ StoreEntry *entries = NULL;
        char name[STORE_NAME_SIZE];
        size_t n;
        int r;

        r = store_list(store, &entries, &n, error);
        if (r >= 0)
                r = choose(entries, n, good, version, name, error);
        return r < 0 ? r : name_release(store, name, ret, error);
}

/* Durable before anything is done about it. PIN gets the one that it replaces. */
static int replace_pin(const ReleaseStore *store, Record *record, LocalPin *pin, Error *error) {
        LocalPin old = record->pin;
        int r;

        record->pin = *pin;
        r = record_copy_keep(store->app_fd, record, error);
        if (r >= 0)
                r = record_save(store->app_fd, record, error);
        if (r >= 0) {
                *pin = old;
                return 0;
        }
        record->pin = old;
        (void) record_copy_keep(store->app_fd, record, NULL); /* else with the next start */
        return r;
}

static int make_pin(const ReleaseStore *store, const Record *record, const InstancePinOrder *order,
                    LocalPin *ret, Error *error) {
        ReleaseRef release = {};
        int r;

        r = local_pin_check_reason(order->reason, error);
        if (r >= 0)
                r = find_release(store, &record->good, order->version, &release, error);
        if (r < 0)
                return r;
        r = local_pin_make(&release, order->reason, order->at, ret);
        release_ref_deinit(&release);
        return r < 0 ? error_oom(error) : 0;
}

static bool holds_already(const Record *record, const LocalPin *pin) {
        return release_ref_equal(&record->pin.release, &pin->release) &&
               release_ref_equal(&record->good, &pin->release) && record_good_is_up(record) &&
               string_equal(record->pin.reason, pin->reason);
}

int instance_pin_set(const ReleaseStore *store, Record *record, const InstancePinOrder *order,
                     bool *ret_changed, Error *error) {
        LocalPin pin = {};
        bool changed;
        int r;

        r = make_pin(store, record, order, &pin, error);
        if (r < 0)
                return r;
        changed = !holds_already(record, &pin);
        if (changed) {
                record_forget_failure(record, pin.release.sha256, 0, NULL);
                r = replace_pin(store, record, &pin, error);
        }
        local_pin_deinit(&pin);
        if (r >= 0)
                *ret_changed = changed;
        return r;
}

int instance_pin_clear(const ReleaseStore *store, Record *record, bool *ret_changed, Error *error) {
        bool changed = record->pin.release.version;
        LocalPin pin = {};
        int r = 0;

        if (changed)
                r = replace_pin(store, record, &pin, error);
        local_pin_deinit(&pin);
        if (r >= 0)
                *ret_changed = changed;
        return r;
}
