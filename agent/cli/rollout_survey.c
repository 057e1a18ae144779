#include <string.h>

#include "agent/cli/failure_list.h"
#include "agent/cli/rollout_picture.h"
#include "agent/cli/rollout_survey.h"
#include "agent/cli/view.h"
#include "agent/failure.h"
#include "artifacts/layout.h"

void rollout_survey_deinit(RolloutSurvey *survey) {
        json_decref(survey->picture);
        json_decref(survey->failures);
        rollout_marks_deinit(&survey->marks);
        register_op_free(survey->op);
        fleet_reader_deinit(&survey->reader);
        rollout_access_deinit(&survey->access);
}

/* That it is lost is something to be told, not a failure. */
static int read_register(RolloutSurvey *survey, Error *error) {
        RegisterOp *op = NULL;
        Error problem = {};
        int r;

        r = register_access_read(&survey->access.site, &op, &problem);
        if (r >= 0)
                r = register_check(register_op_register(op), &survey->access.plan, &problem);
        if (r < 0 && r != -ENOENT && problem.fault != FAULT_INPUT) {
                *error = problem;
                return r;
        }
        survey->now = op ? register_op_time(op) : clock_realtime(survey->cli->clock);
        if (r < 0)
                op = register_op_free(op);
        snprintf(survey->problem, sizeof(survey->problem), "%s",
                 r < 0 && r != -ENOENT ? problem.message : "");
        register_op_free(survey->op);
        survey->op = op;
        return 0;
}

static int add_live(RolloutMarks *marks, const Fleet *fleet) {
        int r = 0;

        for (size_t i = 0; i < fleet->n && r >= 0; i++)
                if (fleet->items[i].condition != FLEET_SILENT && fleet->items[i].condition != FLEET_GONE)
                        r = rollout_marks_add_live(marks, fleet->items[i].name);
        return r;
}

static int read_marks(RolloutSurvey *survey, Error *error) {
        const RolloutAccess *access = &survey->access;
        _cleanup_depot_reply_ DepotReply reply = {};
        _cleanup_rollout_marks_ RolloutMarks marks = {};
        char prefix[LAYOUT_KEY_MAX];
        int r;

        r = layout_rollout_marks(access->target->app, access->target->group, access->plan.id, prefix, error);
        if (r >= 0)
                r = depot_access_list(&access->depot, prefix, &reply, error);
        if (r >= 0)
                r = fleet_reader_look(&survey->reader, error);
        if (r < 0)
                return r;
        if (rollout_marks_add_list(&marks, prefix, reply.entries, reply.n_entries) < 0 ||
            add_live(&marks, &survey->reader.fleet) < 0)
                return error_oom(error);
        rollout_marks_settle(&marks);
        rollout_marks_deinit(&survey->marks);
        survey->marks = marks;
        marks = (RolloutMarks){};
        return 0;
}

/* What instances left */

static int read_failure(RolloutSurvey *survey, const char *name, const DepotEntry *entry, Error *error) {
        _cleanup_depot_reply_ DepotReply reply = {};
        json_t *document;
        int r;

        r = depot_access_get(&survey->access.depot, entry->key, FAILURE_SIZE_MAX, &reply, error);
        if (r < 0 || reply.outcome == DEPOT_NOT_FOUND)
                return r;
        if (view_parse((const char *) reply.body, entry->key, &document, NULL) < 0)
                return 0;
        return json_object_set_new(survey->failures, name, document) < 0 ? error_oom(error) : 0;
}

static int read_failures_of(RolloutSurvey *survey, const DepotReply *reply, const char *prefix,
                            Error *error) {
        int r = 0;

        for (size_t i = 0; i < reply->n_entries && r >= 0; i++) {
                char name[LAYOUT_KEY_MAX];
                const InstanceMarks *marks;

                if (layout_document_name(reply->entries[i].key, prefix, name) < 0)
                        continue;
                marks = rollout_marks_find(&survey->marks, name);
                if (marks && marks->failed && !json_object_get(survey->failures, name) &&
                    json_object_size(survey->failures) < ROLLOUT_FAILURES_SHOWN)
                        r = read_failure(survey, name, &reply->entries[i], error);
        }
        return r;
}

static size_t count_failed(const RolloutMarks *marks) {
        size_t n = 0;

        for (size_t i = 0; i < marks->n; i++)
                n += marks->items[i].failed;
        return n;
}

static int read_failures(RolloutSurvey *survey, Error *error) {
        const RolloutAccess *access = &survey->access;
        size_t wanted = MIN(count_failed(&survey->marks), (size_t) ROLLOUT_FAILURES_SHOWN);
        _cleanup_depot_reply_ DepotReply reply = {};
        char prefix[LAYOUT_KEY_MAX];
        int r;

        if (json_object_size(survey->failures) >= wanted)
                return 0;
        r = layout_failures_of_release(access->target->app, access->target->group, access->plan.to->sha256,
                                       prefix, error);
        if (r >= 0)
                r = depot_access_list(&access->depot, prefix, &reply, error);
        return r < 0 ? r : read_failures_of(survey, &reply, prefix, error);
}

/* Looking */

static int make_picture(RolloutSurvey *survey, Error *error) {
        const RolloutFacts facts = {
                .plan = &survey->access.plan,
                .reg = survey->op ? register_op_register(survey->op) : NULL,
                .problem = *survey->problem ? survey->problem : NULL,
                .marks = &survey->marks,
                .fleet = &survey->reader.fleet,
                .failures = survey->failures,
                .now = survey->now,
        };
        json_t *picture = rollout_picture_make(&facts);

        if (!picture)
                return error_oom(error);
        json_decref(survey->picture);
        survey->picture = picture;
        return 0;
}

/* The register before the marks, as its writers do: what is listed later is never less. */
static int look(RolloutSurvey *survey, Error *error) {
        int r = 0;

        survey->now = clock_realtime(survey->cli->clock);
        if (rollout_plan_is_shared(&survey->access.plan)) {
                r = read_register(survey, error);
                if (r >= 0)
                        r = read_marks(survey, error);
                if (r >= 0)
                        r = read_failures(survey, error);
        }
        return r < 0 ? r : make_picture(survey, error);
}

int rollout_survey_look(RolloutSurvey *survey, Error *error) {
        int r = rollout_access_look(&survey->access, survey->cli, error);

        return r < 0 ? r : look(survey, error);
}

int rollout_survey_open(RolloutSurvey *survey, const Cli *cli, const RolloutValues *values, Error *error) {
        int r;

        *survey = (RolloutSurvey){ .cli = cli, .failures = json_object() };
        if (!survey->failures)
                return error_oom(error);
        r = rollout_access_open(&survey->access, cli, values, error);
        if (r >= 0)
                r = fleet_reader_open(&survey->reader, &survey->access.depot, values->app, values->group,
                                      error);
        return r < 0 ? r : look(survey, error);
}
