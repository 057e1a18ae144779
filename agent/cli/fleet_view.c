#include <string.h>

#include "agent/base/buffer.h"
#include "agent/base/strv.h"
#include "agent/cli/fleet_view.h"
#include "agent/cli/table.h"
#include "agent/cli/view.h"
#include "agent/public_view.h"
#include "artifacts/json.h"

bool fleet_filter_takes(const FleetFilter *filter, const FleetInstance *instance) {
        bool bad = instance->condition == FLEET_UNHEALTHY || instance->condition == FLEET_SILENT;

        if (filter->version && !string_equal(instance->version, filter->version))
                return false;
        if (instance->condition == FLEET_GONE)
                return filter->gone;
        return bad || !filter->unhealthy;
}

/* The summary */

static int add_versions(Buffer *line, const Fleet *fleet) {
        _cleanup_free_ FleetVersion *versions = NULL;
        size_t n;
        int r;

        r = fleet_versions(fleet, &versions, &n);
        for (size_t i = 0; i < n && r >= 0; i++)
                r = buffer_printf(line, "%s%zu on %s", i > 0 ? ", " : ": ", versions[i].n,
                                  versions[i].version ?: "nothing");
        return r;
}

static int add_counts(Buffer *line, const Fleet *fleet, const char *separator, const FleetCondition *of,
                      size_t n_of) {
        int r = 0;

        for (size_t i = 0; i < n_of && r >= 0; i++) {
                size_t n = fleet_count(fleet, of[i]);

                if (n == 0)
                        continue;
                r = buffer_printf(line, "%s%zu %s", separator, n, fleet_condition_to_string(of[i]));
                separator = ", ";
        }
        return r;
}

/* That it is not permanent is said wherever it is complete. */
static int add_rollout(Buffer *line, const Fleet *fleet) {
        const json_t *rollout = fleet_rollout(fleet);
        const char *id = json_string_value(json_object_get(rollout, "id")),
                   *release = json_string_value(json_object_get(rollout, "release")),
                   *state = json_string_value(json_object_get(rollout, "state"));

        if (!id || !release || !state)
                return 0;
        return buffer_printf(line, "; rollout %s to %s is %s%s", id, release, state,
                             strcmp(state, "complete") == 0 ? " and has yet to be finished" : "");
}

int fleet_view_summary(const Fleet *fleet, char **ret) {
        static const FleetCondition present[] = { FLEET_HEALTHY, FLEET_UNHEALTHY, FLEET_CHANGING,
                                                  FLEET_IDLE },
                                    absent[] = { FLEET_SILENT, FLEET_GONE };
        _cleanup_buffer_ Buffer line = {};
        size_t n = fleet_count_present(fleet), size;
        int r;

        r = n == 0 ? buffer_printf(&line, "no instances")
                   : buffer_printf(&line, "%zu instance%s", n, n == 1 ? "" : "s");
        if (r >= 0)
                r = add_versions(&line, fleet);
        if (r >= 0)
                r = add_counts(&line, fleet, "; ", present, ELEMENTSOF(present));
        if (r >= 0)
                r = add_counts(&line, fleet, "; ", absent, ELEMENTSOF(absent));
        if (r >= 0)
                r = add_rollout(&line, fleet);
        return r < 0 ? r : buffer_steal(&line, ret, &size);
}

/* The table */

static int add_remark(Buffer *remarks, const char *before, const char *text, size_t length) {
        return buffer_printf(remarks, "%s%s%.*s", remarks->size > 0 ? "; " : "", before, (int) length, text);
}

static bool is_usual_life(const char *life) {
        return !life || strcmp(life, "in-service") == 0 || strcmp(life, "alone") == 0;
}

/* Why it is not as all the others are. What hooks printed is left to `muster history` and to --json. */
static const char *reason_of(const FleetInstance *instance) {
        bool usual = instance->condition == FLEET_HEALTHY && !string_equal(instance->state, "held");

        return usual ? NULL : instance->reason;
}

static int collect_remarks(const FleetInstance *instance, Buffer *ret) {
        const char *reason = reason_of(instance),
                   *waits = json_string_value(json_object_get(instance->rollout, "waits_for"));
        int r = 0;

        if (instance->problem)
                r = add_remark(ret, "", instance->problem, strlen(instance->problem));
        if (r >= 0 && instance->pin)
                r = add_remark(ret, "pinned here to ", instance->pin, strlen(instance->pin));
        if (r >= 0 && instance->drift > 0)
                r = buffer_printf(ret, "%s%ju file%s drifted", ret->size > 0 ? "; " : "",
                                  (uintmax_t) instance->drift, instance->drift == 1 ? "" : "s");
        if (r >= 0 && !is_usual_life(instance->life))
                r = add_remark(ret, "", instance->life, strlen(instance->life));
        if (r >= 0 && string_equal(instance->launch, "holding"))
                r = add_remark(ret, "its launch is held", "", 0);
        if (r >= 0 && reason)
                r = add_remark(ret, "", reason, public_view_length(reason));
        if (r >= 0 && waits && !string_equal(waits, reason))
                r = add_remark(ret, "", waits, public_view_length(waits));
        return r;
}

static const char *style_of(const FleetInstance *instance, const Style *style) {
        switch (instance->condition) {
        case FLEET_UNHEALTHY:
                return style->bad;
        case FLEET_CHANGING:
                return style->strong;
        case FLEET_HEALTHY:
                return "";
        default:
                return style->faint;
        }
}

static int add_instance(Table *table, const FleetInstance *instance, uint64_t now, const Style *style) {
        _cleanup_buffer_ Buffer remarks = {};
        char since[VIEW_AGE_MAX] = "-", contact[VIEW_AGE_MAX];

        if (collect_remarks(instance, &remarks) < 0)
                return -ENOMEM;
        if (instance->since > 0)
                view_age(instance->since, now, since);
        view_age(instance->contact, now, contact);
        return table_add_styled(table, style_of(instance, style),
                                TABLE_ROW(instance->instance, instance->version,
                                          fleet_condition_to_string(instance->condition), instance->state,
                                          since, contact, instance->way_back, buffer_string(&remarks)));
}

int fleet_view_print(const Fleet *fleet, const FleetFilter *filter, FILE *stream, const Style *style) {
        _cleanup_table_ Table table = { .n_columns = 8 };
        _cleanup_free_ char *summary = NULL;
        int r;

        r = fleet_view_summary(fleet, &summary);
        if (r >= 0)
                r = table_add(&table, TABLE_ROW("INSTANCE", "VERSION", "HEALTH", "STATE", "SINCE", "CONTACT",
                                                "WAY BACK", "REMARKS"));
        for (size_t i = 0; i < fleet->n && r >= 0; i++)
                if (fleet_filter_takes(filter, &fleet->items[i]))
                        r = add_instance(&table, &fleet->items[i], fleet->now, style);
        if (r < 0)
                return r;
        fprintf(stream, "%s\n", summary);
        if (table.n_rows > 1) {
                fputc('\n', stream);
                table_print(&table, stream, style);
        }
        return 0;
}

/* When somebody was there last. */
static uint64_t last_contact(const Fleet *fleet) {
        uint64_t last = 0;

        for (size_t i = 0; i < fleet->n; i++)
                last = MAX(last, fleet->items[i].contact);
        return last;
}

int fleet_view_nobody(const Fleet *fleet, const FleetFilter *filter, const char *under, char **ret) {
        _cleanup_buffer_ Buffer text = {};
        char age[VIEW_AGE_MAX];
        size_t size;
        int r = 0;

        if (fleet->n == 0) {
                r = buffer_printf(
                        &text,
                        "No instance has ever reported to %s\n"
                        "One does as soon as musterd runs on it for this app and group; muster doctor, "
                        "there, says what is in its way.\n",
                        under);
        } else if (fleet_count(fleet, FLEET_GONE) == fleet->n && !filter->gone) {
                view_age(last_contact(fleet), fleet->now, age);
                r = buffer_printf(&text, "The last report to %s came %s; --gone lists who made it.\n", under,
                                  age);
        }
        return r < 0 ? r : buffer_steal(&text, ret, &size);
}

json_t *fleet_view_to_json(const Fleet *fleet, const FleetFilter *filter) {
        _cleanup_json_ json_t *instances = json_array();

        for (size_t i = 0; i < fleet->n; i++)
                if (fleet_filter_takes(filter, &fleet->items[i]) &&
                    json_array_append_new(instances, fleet_instance_to_json(&fleet->items[i])) < 0)
                        return NULL;
        return json_pack("{s:o, s:O}", "summary", fleet_summary_to_json(fleet), "instances", instances);
}
