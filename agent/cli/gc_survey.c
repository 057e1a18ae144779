#include <string.h>

#include "agent/cli/depot_batch.h"
#include "agent/cli/fleet_read.h"
#include "agent/cli/gc_survey.h"
#include "agent/rollout_plan.h"

void gc_survey_deinit(GcSurvey *survey) {
        for (size_t i = 0; i < survey->n_targets; i++)
                target_free(survey->targets[i]);
        free(survey->targets);
        depot_reply_deinit(&survey->list);
        gc_needs_deinit(&survey->needs);
}

int gc_survey_list(const DepotAccess *access, const char *app, DepotReply *ret, Error *error) {
        char prefix[LAYOUT_KEY_MAX] = LAYOUT_APPS, releases[LAYOUT_KEY_MAX];
        DepotOp *op;
        int r = 0;

        if (app) {
                r = layout_releases(app, releases, error); /* of a name that was checked */
                snprintf(prefix, sizeof(prefix), LAYOUT_APPS "%s/", app);
        }
        if (r >= 0)
                r = depot_list_start(access->depot, prefix, NULL, NULL, &op, error);
        return r < 0 ? r : depot_wait(op, ret, error);
}

/* Some of what is listed, read and taken in one after the other. */
typedef struct Reading {
        GcSurvey *survey;
        size_t *wanted; /* indices of the list's entries */
        size_t n;
        int (*take)(GcSurvey *survey, const LayoutKey *key, const DepotReply *reply, Error *error);
} Reading;

static int start_get(size_t index, DepotDone done, void *done_userdata, DepotOp **ret, void *userdata,
                     Error *error) {
        const Reading *reading = userdata;
        const GcSurvey *survey = reading->survey;

        return depot_get_start(survey->access->depot, survey->list.entries[reading->wanted[index]].key, NULL,
                               DSSE_ENVELOPE_SIZE_MAX, done, done_userdata, ret, error);
}

static int take_document(size_t index, int result, DepotReply *reply, const Error *problem, void *userdata,
                         Error *error) {
        const Reading *reading = userdata;
        const char *text = reading->survey->list.entries[reading->wanted[index]].key;
        LayoutKey key;

        if (result >= 0 && reply->outcome != DEPOT_OK)
                return error_set_fault(error, -ESTALE, FAULT_INPUT,
                                       "%s went while it was looked at: try again", text);
        if (result < 0)
                return depot_batch_fail(result, problem, error);
        layout_parse(text, &key);
        return reading->take(reading->survey, &key, reply, error);
}

static int read_all(Reading *reading, bool (*wants)(const GcSurvey *, const LayoutKey *, const DepotEntry *),
                    Error *error) {
        const GcSurvey *survey = reading->survey;
        DepotBatch batch = { .start = start_get, .take = take_document, .userdata = reading };
        int r;

        reading->wanted = calloc(survey->list.n_entries + 1, sizeof(size_t));
        if (!reading->wanted)
                return error_oom(error);
        for (size_t i = 0; i < survey->list.n_entries; i++) {
                LayoutKey key;

                layout_parse(survey->list.entries[i].key, &key);
                if (wants(survey, &key, &survey->list.entries[i]))
                        reading->wanted[reading->n++] = i;
        }
        batch.n = reading->n;
        r = depot_batch_run(survey->access->depot, &batch, error);
        free(reading->wanted);
        return r;
}

/* Targets */

static bool is_target(_unused_ const GcSurvey *survey, const LayoutKey *key,
                      _unused_ const DepotEntry *entry) {
        return key->kind == LAYOUT_KIND_TARGET;
}

static int need_releases(GcNeeds *needs, const Target *target) {
        const TargetRelease *const named[] = { &target->stable, &target->candidate, &target->previous };
        int r = 0;

        for (size_t i = 0; i < ELEMENTSOF(named) && r >= 0; i++)
                if (named[i]->version)
                        r = gc_names_add(&needs->releases, target->app, named[i]->version);
        return r;
}

static int keep_target(GcSurvey *survey, Target *target) {
        Target **grown = reallocarray(survey->targets, survey->n_targets + 1, sizeof(Target *));

        if (!grown)
                return -ENOMEM;
        survey->targets = grown;
        survey->targets[survey->n_targets++] = target;
        return 0;
}

static int take_target(GcSurvey *survey, const LayoutKey *key, const DepotReply *reply, Error *error) {
        _cleanup_target_ Target *target = NULL;
        RolloutPlan plan;
        int r;

        r = target_open(survey->root, reply->body, reply->body_size, survey->needs.now, key->app, key->group,
                        &target, error);
        if (r < 0) {
                error_prefix(error, "what %s in %s needs cannot be told", key->app, key->group);
                return r;
        }
        rollout_plan_make(target, &plan);
        if (gc_needs_add_group(&survey->needs, key->app, key->group, plan.id) < 0 ||
            need_releases(&survey->needs, target) < 0 || keep_target(survey, target) < 0)
                return error_oom(error);
        target = NULL; /* is the survey's */
        return 0;
}

static int check_release(const GcSurvey *survey, const Target *target, const TargetRelease *named,
                         Error *error) {
        _cleanup_release_ Release *release = NULL;
        int r;

        if (!named->version)
                return 0;
        r = documents_get_release(survey->access, survey->root, survey->needs.now, target->app,
                                  named->version, named->sha256, &release, error);
        if (r < 0)
                error_prefix(error, "what %s in %s needs cannot be told", target->app, target->group);
        return r;
}

/* The release before the stable one is needed where it is there; the others must be. */
static int check_releases(const GcSurvey *survey, Error *error) {
        int r = 0;

        for (size_t i = 0; i < survey->n_targets && r >= 0; i++) {
                r = check_release(survey, survey->targets[i], &survey->targets[i]->stable, error);
                if (r >= 0)
                        r = check_release(survey, survey->targets[i], &survey->targets[i]->candidate, error);
        }
        return r;
}

/* Reports: what an instance still runs, pinned there or not yet moved, stays; its way back as well. */

static int need_reported(GcNeeds *needs, const char *app, const Fleet *fleet) {
        int r = 0;

        for (size_t i = 0; i < fleet->n && r >= 0; i++) {
                const FleetInstance *instance = &fleet->items[i];
                const char *const versions[] = { instance->version, instance->pin, instance->way_back };

                for (size_t j = 0; j < ELEMENTSOF(versions) && r >= 0; j++)
                        if (versions[j] && instance->condition != FLEET_GONE)
                                r = gc_names_add(&needs->releases, app, versions[j]);
        }
        return r;
}

static int look_at_reports(GcSurvey *survey, Error *error) {
        int r = 0;

        for (size_t i = 0; i < survey->needs.n_groups && r >= 0; i++) {
                const GcGroup *group = &survey->needs.groups[i];
                _cleanup_fleet_reader_ FleetReader reader = {};

                r = fleet_reader_open(&reader, survey->access, group->app, group->group, error);
                if (r >= 0)
                        r = fleet_reader_look(&reader, error);
                if (r >= 0 && need_reported(&survey->needs, group->app, &reader.fleet) < 0)
                        r = error_oom(error);
        }
        return r;
}

/* Releases that stay */

static bool release_stays(const GcSurvey *survey, const LayoutKey *key, const DepotEntry *entry) {
        return key->kind == LAYOUT_KIND_RELEASE && !gc_judge(&survey->needs, key, entry);
}

/* Nobody's signature is asked for here: what is said of artifacts can only have them stay. What cannot be read, a release for
 * a later muster perhaps, has all of the app's stay. */
static int take_release(GcSurvey *survey, const LayoutKey *key, const DepotReply *reply, Error *error) {
        const StoredDocument document = { .envelope = reply->body, .size = reply->body_size };
        _cleanup_release_ Release *release = NULL;
        _cleanup_free_ uint8_t *payload = NULL;
        size_t size;
        int r;

        r = documents_payload("release", &document, &payload, &size, NULL);
        if (r >= 0)
                r = release_parse(payload, size, &release, NULL);
        if (r < 0 && r != -ENOMEM)
                r = gc_names_add(&survey->needs.unsure, key->app, "");
        for (size_t i = 0; release && i < release->artifacts.n && r >= 0; i++)
                r = gc_names_add(&survey->needs.artifacts, key->app, release->artifacts.items[i].sha256);
        return r < 0 ? error_oom(error) : 0;
}

int gc_survey_look(GcSurvey *survey, uint64_t age, Error *error) {
        Reading targets = { .survey = survey, .take = take_target },
                releases = { .survey = survey, .take = take_release };
        int r;

        r = gc_survey_list(survey->access, survey->app, &survey->list, error);
        if (r < 0)
                return r;
        survey->needs.now = survey->list.server_time ?: clock_realtime(&clock_system);
        survey->needs.age = age;
        survey->needs.all_apps = survey->app;
        r = read_all(&targets, is_target, error);
        if (r >= 0)
                r = check_releases(survey, error);
        if (r >= 0)
                r = look_at_reports(survey, error);
        return r < 0 ? r : read_all(&releases, release_stays, error);
}
