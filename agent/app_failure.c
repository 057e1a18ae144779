#include "agent/app_parts.h"
#include "agent/app_status.h"
#include "agent/base/clock.h"
#include "agent/failure.h"

/* A first deployment that failed, or a release that was good and does not pass its checks since a restart. */
static const ReleaseRef *failed_release(const App *app) {
        const Record *record = &app->record;

        return record->good.version ? &record->good : &record->deployment.to;
}

/* STEP and REASON where it was no deployment that failed. */
typedef struct FailedAt {
        const ReleaseRef *release;
        const char *step; /* NULL: not known */
        const char *reason;
        const char *scaling_group; /* likewise */
        const char *journal;       /* NULL: not to be told */
        bool with_output;
} FailedAt;

static int make_note(const App *app, const FailedAt *at, FailureNote *ret, Error *error) {
        const Deployment *deployment = &app->record.deployment;
        bool is_of_deployment = deployment->reason && release_ref_equal(at->release, &deployment->to);
        json_auto_t *history = NULL;
        FailureFacts facts = {
                .instance = app->context.identity->instance,
                .app = app->config->name,
                .group = app->group,
                .scaling_group = at->scaling_group,
                .version = at->release->version,
                .release_sha256 = at->release->sha256,
                .step = is_of_deployment ? step_to_string(deployment->failed_step) : at->step,
                .fault = is_of_deployment ? error_fault_to_string(deployment->fault) : NULL,
                .reason = is_of_deployment ? deployment->reason : at->reason,
                .journal = at->journal,
                .with_output = at->with_output,
                .at = clock_realtime(app->context.clock),
        };
        char *text;

        if (deployment->id && app_history_to_json(app->config->name, deployment, &history) < 0)
                return error_oom(error);
        facts.deployment = history;
        if (failure_to_text(&facts, &text) < 0)
                return error_oom(error);
        *ret = (FailureNote){
                .app = app->config->name,
                .group = app->group,
                .version = at->release->version,
                .release_sha256 = at->release->sha256,
                .text = text,
        };
        return 0;
}

int app_failure(const App *app, const char *scaling_group, const char *journal, FailureNote *ret,
                Error *error) {
        const FailedAt at = {
                .release = failed_release(app),
                .reason = app->decision.reason,
                .scaling_group = scaling_group,
                .journal = journal,
                .with_output = journal,
        };

        if (!at.release->version)
                return error_set(error, -ENOENT, "%s has no release that failed", app->config->name);
        return make_note(app, &at, ret, error);
}

static void on_told(_unused_ FailureUpload *upload, _unused_ bool hold, void *userdata) {
        App *app = userdata;

        app->rollout_failure = failure_upload_free(app->rollout_failure);
}

/* For those who look at the rollout. It is the latest failure: of it the mark is about to be made. */
void app_tell_rollout_failure(App *app) {
        const Record *record = &app->record;
        const Failure *failure = record->n_failures > 0 ? &record->failures[record->n_failures - 1] : NULL;
        const FailureUploadSpec spec = {
                .event = app->context.event,
                .depot = app->context.depot,
                .report_id = app->context.identity->report_id,
                .limit = UINT64_MAX,
                .window = app->context.config->abandon_window,
        };
        FailureNote note;
        FailedAt at;
        Error error = {};
        int r;

        if (!failure)
                return;
        at = (FailedAt){ .release = &failure->release,
                         .step = step_to_string(failure->step),
                         .reason = failure->reason,
                         .with_output = app->context.config->report_output };
        app->rollout_failure = failure_upload_free(app->rollout_failure);
        r = make_note(app, &at, &note, &error);
        if (r >= 0)
                r = failure_upload_start(&spec, &note, 1, on_told, app, &app->rollout_failure, &error);
        if (r < 0)
                log_warning("%s: %s", app->config->name, error.message);
}

LaunchWork app_work(const App *app) {
        return app->engine ? engine_work(app->engine) : (LaunchWork){};
}

void app_set_report_member(App *app, const char *key, json_t *value) {
        if (json_equal(json_object_get(app->report_members, key), value)) {
                json_decref(value);
                return;
        }
        (void) json_object_set_new(app->report_members, key, value);
        app_report(app);
}
