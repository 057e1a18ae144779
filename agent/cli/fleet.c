#include <string.h>

#include "agent/base/buffer.h"
#include "agent/base/parse.h"
#include "agent/base/strv.h"
#include "agent/cli/fleet.h"
#include "agent/cli/view.h"
#include "artifacts/json.h"
#include "artifacts/target.h"

void fleet_instance_deinit(FleetInstance *instance) {
        char **const texts[] = {
                &instance->name,    &instance->instance,       &instance->etag,     &instance->version,
                &instance->state,   &instance->release_sha256, &instance->reason,   &instance->health,
                &instance->life,    &instance->launch,         &instance->pin,      &instance->group_pin,
                &instance->problem, &instance->agent_version,  &instance->way_back,
        };

        for (size_t i = 0; i < ELEMENTSOF(texts); i++)
                free(*texts[i]);
        json_decref(instance->last_failure);
        json_decref(instance->rollout);
        *instance = (FleetInstance){};
}
#define _cleanup_fleet_instance_ _cleanup_(fleet_instance_deinit)

void fleet_deinit(Fleet *fleet) {
        for (size_t i = 0; i < fleet->n; i++)
                fleet_instance_deinit(&fleet->items[i]);
        free(fleet->items);
        *fleet = (Fleet){};
}

/* Reading */

static const char *text_in(const json_t *object, const char *name, const char *member) {
        const json_t *inner = name ? json_object_get(object, name) : object;
        const char *text = json_string_value(json_object_get(inner, member));

        return text && *text ? text : NULL;
}

/* A pin, or the way back, where there is one. */
static const char *version_in(const json_t *report, const char *name, const char *condition) {
        const json_t *inner = json_object_get(report, name);

        if (condition && !json_is_true(json_object_get(inner, condition)))
                return NULL;
        return text_in(inner, NULL, "version");
}

static int take_texts(const json_t *report, FleetInstance *instance) {
        const struct {
                char **into;
                const char *text;
        } texts[] = {
                { &instance->instance, text_in(report, NULL, "instance") ?: instance->name },
                { &instance->version, text_in(report, NULL, "version") },
                { &instance->release_sha256, text_in(report, NULL, "release_sha256") },
                { &instance->state, text_in(report, NULL, "state") },
                { &instance->reason, text_in(report, NULL, "reason") },
                { &instance->agent_version, text_in(report, NULL, "agent_version") },
                { &instance->health, text_in(report, "health_watch", "state") },
                { &instance->life, text_in(report, "life", "state") },
                { &instance->launch, text_in(report, "launch", "state") },
                { &instance->pin, version_in(report, "local_pin", NULL) },
                { &instance->group_pin, version_in(report, "pin", NULL) },
                { &instance->way_back, version_in(report, "rollback", "ready") },
        };
        int r = 0;

        for (size_t i = 0; i < ELEMENTSOF(texts) && r >= 0; i++)
                r = string_set(texts[i].into, texts[i].text);
        return r;
}

/* Of what serves; of what the way back leads to, "rollback" tells. */
static uint64_t drift_in(const json_t *report) {
        const json_t *release;
        size_t i;

        json_array_foreach((json_t *) json_object_get(report, "installed"), i, release) {
                json_int_t n = json_integer_value(json_object_get(release, "differences"));

                if (string_equal(text_in(release, NULL, "role"), "current") &&
                    string_equal(text_in(release, NULL, "state"), "drifted"))
                        return n > 0 ? (uint64_t) n : 1;
        }
        return 0;
}

static void take_times(const json_t *report, FleetInstance *instance) {
        const char *since = text_in(report, NULL, "since"),
                   *interval = text_in(report, NULL, "report_interval");
        uint64_t value;

        if (since && parse_time(since, &value) >= 0)
                instance->since = value;
        if (interval && parse_duration(interval, &value) >= 0 && value > 0 && value <= FLEET_INTERVAL_MAX)
                instance->interval = value;
}

static json_t *object_in(const json_t *report, const char *name) {
        json_t *object = json_object_get(report, name);

        return json_is_object(object) ? json_incref(object) : NULL;
}

static int take_report(const json_t *report, FleetInstance *instance) {
        take_times(report, instance);
        instance->drift = drift_in(report);
        instance->last_failure = object_in(report, "last_failure");
        instance->rollout = object_in(report, "rollout");
        return take_texts(report, instance);
}

int fleet_instance_read(const char *name, uint64_t contact, const void *data, size_t size,
                        FleetInstance *ret) {
        _cleanup_fleet_instance_ FleetInstance instance = { .contact = contact,
                                                            .interval = FLEET_INTERVAL_DEFAULT };
        _cleanup_json_ json_t *report = NULL;
        Error problem = {};
        int r;

        r = string_set(&instance.name, name);
        if (r >= 0)
                r = string_set(&instance.instance, name);
        if (r < 0)
                return r;
        r = json_read("its report", data, size, FLEET_REPORT_SIZE_MAX, &report, &problem);
        if (r >= 0)
                r = view_make_printable(report);
        if (r >= 0)
                r = json_is_object(report) ? take_report(report, &instance)
                                           : error_set(&problem, -EBADMSG, "its report is no JSON object");
        if (r < 0 && r != -ENOMEM)
                r = string_set(&instance.problem, problem.message);
        if (r < 0)
                return r;
        *ret = instance;
        instance = (FleetInstance){};
        return 0;
}

/* Judging */

static bool is_one_of(const char *text, const char *const *words) {
        for (; text && *words; words++)
                if (strcmp(text, *words) == 0)
                        return true;
        return false;
}

static const char *const leaving_lives[] = { "leaving", NULL };
static const char *const idle_states[] = { "none", "prefetched", "stopped", "draining", NULL };
static const char *const changing_states[] = { "deploying", "rolling-back", "checking", NULL };
static const char *const healthy_states[] = { "good", "held", "fetching", NULL };
static const char *const unhealthy_watches[] = { "failing", "unhealthy", "restarting", NULL };

/* What it said last, were it still so. A state that is not known here is not called healthy. */
static FleetCondition condition_of_report(const FleetInstance *instance) {
        if (instance->problem || is_one_of(instance->health, unhealthy_watches))
                return FLEET_UNHEALTHY;
        if (is_one_of(instance->state, idle_states))
                return FLEET_IDLE;
        if (is_one_of(instance->state, changing_states))
                return FLEET_CHANGING;
        if (!is_one_of(instance->state, healthy_states))
                return FLEET_UNHEALTHY;
        return instance->version ? FLEET_HEALTHY : FLEET_IDLE;
}

static FleetCondition condition_of(const FleetInstance *instance, uint64_t now) {
        uint64_t age = now > instance->contact ? now - instance->contact : 0;

        if (age <= FLEET_INTERVALS * instance->interval)
                return condition_of_report(instance);
        if (age > FLEET_GONE_AFTER || is_one_of(instance->life, leaving_lives))
                return FLEET_GONE;
        return FLEET_SILENT;
}

static int compare_versions(const char *a, const char *b) {
        return strverscmp(b ?: "", a ?: "");
}

static int compare_instances(const void *x, const void *y) {
        const FleetInstance *a = x, *b = y;
        int r;

        if (a->condition != b->condition)
                return a->condition < b->condition ? -1 : 1;
        r = compare_versions(a->version, b->version);
        return r != 0 ? r : strcmp(a->instance, b->instance);
}

void fleet_judge(Fleet *fleet) {
        for (size_t i = 0; i < fleet->n; i++)
                fleet->items[i].condition = condition_of(&fleet->items[i], fleet->now);
        if (fleet->n > 0)
                qsort(fleet->items, fleet->n, sizeof(FleetInstance), compare_instances);
}

const char *fleet_condition_to_string(FleetCondition condition) {
        static const char *const names[FLEET_CONDITIONS] = {
                [FLEET_UNHEALTHY] = "unhealthy", [FLEET_SILENT] = "silent",   [FLEET_CHANGING] = "changing",
                [FLEET_IDLE] = "idle",           [FLEET_HEALTHY] = "healthy", [FLEET_GONE] = "gone",
        };

        return names[condition];
}

bool fleet_instance_serves(const FleetInstance *instance, const char *version) {
        return instance->condition == FLEET_HEALTHY && (!version || string_equal(instance->version, version));
}

/* Summing up */

size_t fleet_count(const Fleet *fleet, FleetCondition condition) {
        size_t n = 0;

        for (size_t i = 0; i < fleet->n; i++)
                n += fleet->items[i].condition == condition;
        return n;
}

static bool is_present(const FleetInstance *instance) {
        return instance->condition != FLEET_SILENT && instance->condition != FLEET_GONE;
}

size_t fleet_count_present(const Fleet *fleet) {
        return fleet->n - fleet_count(fleet, FLEET_SILENT) - fleet_count(fleet, FLEET_GONE);
}

static int compare_counts(const void *x, const void *y) {
        const FleetVersion *a = x, *b = y;

        if (a->n != b->n)
                return a->n > b->n ? -1 : 1;
        return compare_versions(a->version, b->version);
}

static FleetVersion *find_version(FleetVersion *versions, size_t n, const char *version) {
        for (size_t i = 0; i < n; i++)
                if (string_equal(versions[i].version, version))
                        return &versions[i];
        return NULL;
}

/* A fleet runs a handful of versions, whatever its size. */
int fleet_versions(const Fleet *fleet, FleetVersion **ret, size_t *ret_n) {
        FleetVersion *versions = NULL, *version;
        size_t n = 0;

        for (size_t i = 0; i < fleet->n; i++) {
                const FleetInstance *instance = &fleet->items[i];

                if (!is_present(instance))
                        continue;
                version = find_version(versions, n, instance->version);
                if (!version) {
                        version = reallocarray(versions, n + 1, sizeof(*versions));
                        if (!version) {
                                free(versions);
                                return -ENOMEM;
                        }
                        versions = version;
                        version = &versions[n++];
                        *version = (FleetVersion){ .version = instance->version };
                }
                version->n++;
                version->n_healthy += instance->condition == FLEET_HEALTHY;
        }
        if (n > 0)
                qsort(versions, n, sizeof(*versions), compare_counts);
        *ret = versions;
        *ret_n = n;
        return 0;
}

/* JSON */

static json_t *time_to_json(uint64_t usec) {
        char text[TIME_TEXT_MAX];

        format_time(usec, text);
        return usec > 0 ? json_string(text) : json_null();
}

json_t *fleet_instance_to_json(const FleetInstance *instance) {
        return json_pack(
                "{s:s, s:s, s:s, s:s?, s:s?, s:s?, s:s?, s:o, s:o, s:s?, s:s?, s:s?, s:s?, s:s?, s:s?, s:s?, s:I, s:O?, "
                "s:O?, s:s?}",
                "instance", instance->instance, "name", instance->name, "health",
                fleet_condition_to_string(instance->condition), "version", instance->version,
                "release_sha256", instance->release_sha256, "state", instance->state, "reason",
                instance->reason, "since", time_to_json(instance->since), "last_contact",
                time_to_json(instance->contact), "health_watch", instance->health, "life", instance->life,
                "launch", instance->launch, "agent_version", instance->agent_version, "pinned", instance->pin,
                "group_pinned", instance->group_pin, "rollback_ready", instance->way_back, "drift",
                (json_int_t) instance->drift, "last_failure", instance->last_failure, "rollout",
                instance->rollout, "problem", instance->problem);
}

static json_t *versions_to_json(const Fleet *fleet) {
        _cleanup_free_ FleetVersion *versions = NULL;
        _cleanup_json_ json_t *array = json_array();
        size_t n;

        if (fleet_versions(fleet, &versions, &n) < 0)
                return NULL;
        for (size_t i = 0; i < n; i++)
                if (json_array_append_new(array, json_pack("{s:s?, s:I, s:I}", "version", versions[i].version,
                                                           "instances", (json_int_t) versions[i].n, "healthy",
                                                           (json_int_t) versions[i].n_healthy)) < 0)
                        return NULL;
        return TAKE_PTR(array);
}

static bool is_rollout(const json_t *part) {
        const char *id = json_string_value(json_object_get(part, "id"));

        return id && strncmp(id, TARGET_SERIAL_PREFIX, strlen(TARGET_SERIAL_PREFIX)) != 0;
}

const json_t *fleet_rollout(const Fleet *fleet) {
        const FleetInstance *last = NULL;

        for (size_t i = 0; i < fleet->n; i++)
                if (is_present(&fleet->items[i]) && (!last || fleet->items[i].contact > last->contact))
                        last = &fleet->items[i];
        return last && is_rollout(last->rollout) ? last->rollout : NULL;
}

json_t *fleet_summary_to_json(const Fleet *fleet) {
        _cleanup_json_ json_t *summary =
                json_pack("{s:I, s:o, s:o, s:O?}", "instances", (json_int_t) fleet_count_present(fleet), "at",
                          time_to_json(fleet->now), "versions", versions_to_json(fleet), "rollout",
                          fleet_rollout(fleet));

        for (FleetCondition i = 0; i < FLEET_CONDITIONS; i++)
                if (json_object_set_new(summary, fleet_condition_to_string(i),
                                        json_integer((json_int_t) fleet_count(fleet, i))) < 0)
                        return NULL;
        return TAKE_PTR(summary);
}
