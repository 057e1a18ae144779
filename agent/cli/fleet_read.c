#include <string.h>

#include "agent/base/strv.h"
#include "agent/cli/depot_batch.h"
#include "agent/cli/fleet_read.h"

int fleet_reader_open(FleetReader *reader, const DepotAccess *access, const char *app, const char *group,
                      Error *error) {
        *reader = (FleetReader){ .access = access };
        return layout_instances(app, group, reader->prefix, error);
}

void fleet_reader_deinit(FleetReader *reader) {
        fleet_deinit(&reader->fleet);
}

/* One look: what is listed, the fleet that it makes, and which of its entries have yet to be read. */
typedef struct Look {
        const FleetReader *reader;
        DepotReply list;
        Fleet fleet;
        size_t *wanted; /* indices of the list's entries */
        size_t n_wanted;
        FleetInstance **kept; /* of the last look's, that are still so */
} Look;

static void look_deinit(Look *look) {
        depot_reply_deinit(&look->list);
        fleet_deinit(&look->fleet);
        free(look->wanted);
        free(look->kept);
}

static int compare_names(const void *a, const void *b) {
        return strcmp(((const FleetInstance *) a)->name, ((const FleetInstance *) b)->name);
}

/* What the last look has read, if it is still so. OLD is sorted by name. */
static FleetInstance *find_read(const Fleet *old, const DepotEntry *entry, const char *name) {
        const FleetInstance key = { .name = (char *) name };
        FleetInstance *found = NULL;

        if (old->n > 0 && entry->etag)
                found = bsearch(&key, old->items, old->n, sizeof(key), compare_names);
        return found && string_equal(found->etag, entry->etag) ? found : NULL;
}

static int list(Look *look, Error *error) {
        DepotOp *op;
        int r;

        r = depot_list_start(look->reader->access->depot, look->reader->prefix, NULL, NULL, &op, error);
        if (r >= 0)
                r = depot_wait(op, &look->list, error);
        if (r < 0)
                return r;
        look->fleet.now = look->list.server_time ?: clock_realtime(&clock_system);
        look->fleet.items = calloc(look->list.n_entries + 1, sizeof(FleetInstance));
        look->wanted = calloc(look->list.n_entries + 1, sizeof(size_t));
        look->kept = calloc(look->list.n_entries + 1, sizeof(FleetInstance *));
        return look->fleet.items && look->wanted && look->kept ? 0 : error_oom(error);
}

static bool is_report(const FleetReader *reader, const DepotEntry *entry, char ret[static LAYOUT_KEY_MAX]) {
        return layout_document_name(entry->key, reader->prefix, ret) >= 0 && layout_instance_is_valid(ret);
}

static int start_get(size_t index, DepotDone done, void *done_userdata, DepotOp **ret, void *userdata,
                     Error *error) {
        const Look *look = userdata;

        return depot_get_start(look->reader->access->depot, look->list.entries[look->wanted[index]].key, NULL,
                               FLEET_REPORT_SIZE_MAX, done, done_userdata, ret, error);
}

/* One that was removed since it was listed is gone; one that is too large is none. */
static int take_report(size_t index, int result, DepotReply *reply, const Error *problem, void *userdata,
                       Error *error) {
        Look *look = userdata;
        const DepotEntry *entry = &look->list.entries[look->wanted[index]];
        FleetInstance *instance = &look->fleet.items[look->fleet.n];
        char name[LAYOUT_KEY_MAX];
        int r;

        if (result < 0 && result != -E2BIG)
                return depot_batch_fail(result, problem, error);
        if (result >= 0 && reply->outcome != DEPOT_OK)
                return 0;
        (void) is_report(look->reader, entry, name);
        r = fleet_instance_read(name, entry->modified, reply->body, reply->body_size, instance);
        if (r < 0)
                return error_oom(error);
        look->fleet.n++;
        if (result < 0 && string_set(&instance->problem, problem->message) < 0)
                return error_oom(error);
        return string_set(&instance->etag, reply->etag) < 0 ? error_oom(error) : 0;
}

static int read_wanted(Look *look, Error *error) {
        const DepotBatch batch = {
                .n = look->n_wanted, .start = start_get, .take = take_report, .userdata = look
        };

        return depot_batch_run(look->reader->access->depot, &batch, error);
}

/* Takes over what the last look has read already. */
static void keep_read(Look *look, const Fleet *old) {
        size_t n = 0, first = look->fleet.n;
        char name[LAYOUT_KEY_MAX];

        for (size_t i = 0; i < look->list.n_entries; i++) {
                const DepotEntry *entry = &look->list.entries[i];

                look->kept[n] = is_report(look->reader, entry, name) ? find_read(old, entry, name) : NULL;
                if (look->kept[n]) {
                        look->fleet.items[first + n] = *look->kept[n];
                        look->fleet.items[first + n++].contact = entry->modified;
                }
        }
        look->fleet.n += n;
        for (size_t i = 0; i < n; i++)
                *look->kept[i] = (FleetInstance){};
}

int fleet_reader_look(FleetReader *reader, Error *error) {
        _cleanup_(look_deinit) Look look = { .reader = reader };
        Fleet *old = &reader->fleet;
        char name[LAYOUT_KEY_MAX];
        int r;

        r = list(&look, error);
        if (r < 0)
                return r;
        if (old->n > 0)
                qsort(old->items, old->n, sizeof(FleetInstance), compare_names);
        for (size_t i = 0; i < look.list.n_entries; i++)
                if (is_report(reader, &look.list.entries[i], name) &&
                    !find_read(old, &look.list.entries[i], name))
                        look.wanted[look.n_wanted++] = i;
        r = read_wanted(&look, error);
        if (r >= 0) {
                Fleet seen;

                keep_read(&look, old);
                seen = look.fleet;
                look.fleet = *old;
                *old = seen;
        }
        fleet_judge(old);
        return r;
}
