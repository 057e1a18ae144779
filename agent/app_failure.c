#include "agent/app_parts.h"
#include "agent/app_status.h"
#include "agent/base/clock.h"
#include "agent/failure.h"

/* A first deployment that failed, or a release that was good and does not pass its checks since a restart. */
static const ReleaseRef *failed_release(const App *app) {
        const Record *record = &app->record;

        return record->good.version ? &record->good : &record->deployment.to;
}

int app_failure(const App *app, const char *scaling_group, const char *journal, FailureNote *ret,
                Error *error) {
        const Deployment *deployment = &app->record.deployment;
        const ReleaseRef *release = failed_release(app);
        bool is_of_deployment = deployment->reason && release == &deployment->to;
        json_auto_t *history = NULL;
        FailureFacts facts = {
                .instance = app->context.identity->instance,
                .app = app->config->name,
                .group = app->group,
                .scaling_group = scaling_group,
                .version = release->version,
                .release_sha256 = release->sha256,
                .step = is_of_deployment ? step_to_string(deployment->failed_step) : NULL,
                .fault = is_of_deployment ? error_fault_to_string(deployment->fault) : NULL,
                .reason = is_of_deployment ? deployment->reason : app->decision.reason,
                .journal = journal,
                .with_output = journal,
                .at = clock_realtime(app->context.clock),
        };
        char *text;

        if (!release->version)
                return error_set(error, -ENOENT, "%s has no release that failed", app->config->name);
        if (deployment->id && app_history_to_json(app->config->name, deployment, &history) < 0)
                return error_oom(error);
        facts.deployment = history;
        if (failure_to_text(&facts, &text) < 0)
                return error_oom(error);
        *ret = (FailureNote){
                .app = app->config->name,
                .group = app->group,
                .version = release->version,
                .release_sha256 = release->sha256,
                .text = text,
        };
        return 0;
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
