#include <string.h>

#include "agent/adopt.h"
#include "agent/app_life.h"
#include "agent/app_parts.h"
#include "agent/base/strv.h"
#include "agent/environment.h"
#include "agent/machine.h"
#include "agent/placement.h"
#include "agent/record_open.h"
#include "artifacts/layout.h"

#define OPEN_RETRY (5 * USEC_PER_SEC)

static void on_cleaned(_unused_ AppClean *clean, void *userdata) {
        App *app = userdata;

        app_audit_start(app->audit, false);
}

static void on_audited(_unused_ AppAudit *audit, void *userdata) {
        app_tell(userdata);
}

static int open_report(App *app, Error *error) {
        char key[LAYOUT_KEY_MAX];
        int r;

        if (!app->context.depot)
                return 0;
        r = layout_instance(app->config->name, app->group, app->context.identity->report_id, key, error);
        if (r < 0)
                return r;
        return report_new(app->context.event, app->context.depot, key, app->context.config->report_interval,
                          &app->report, error);
}

static int open_audit(App *app, Error *error) {
        const AppAuditContext context = {
                .event = app->context.event,
                .store = app->store,
                .record = &app->record,
                .fields = app_fields(app),
        };

        return app_audit_new(&context, on_audited, app, &app->audit) < 0 ? error_oom(error) : 0;
}

static int open_clean(App *app, Error *error) {
        const AppCleanContext context = {
                .event = app->context.event,
                .config = app->context.config,
                .manager = app->context.manager,
                .store = app->store,
                .record = &app->record,
                .app = app->config->name,
        };

        return app_clean_new(&context, on_cleaned, app, &app->clean, error);
}

static int open_record(App *app, Error *error) {
        const AppContext *context = &app->context;
        _cleanup_(machine_deinit) Machine machine = {};
        const RecordOwner owner = { .app = app->config->name,
                                    .instance = context->depot ? context->identity->instance : NULL,
                                    .configured = context->config->instance_id,
                                    .machine = &machine };
        char note[RECORD_NOTE_MAX];
        int r;

        if (machine_read("", &machine) < 0)
                return error_oom(error);
        r = record_open(app->store, &owner, clock_realtime(context->clock), &app->record, note, error);
        if (r >= 0 && note[0]) {
                const LogFields fields = app_fields(app);

                log_message(LOG_WARNING, NULL, &fields, "%s", note);
        }
        return r;
}

static void on_unpackers_stopped(_unused_ UnpackStop *stop, int result, const Error *error, void *userdata) {
        App *app = userdata;

        if (result < 0)
                log_warning("%s: cannot stop what was unpacking: %s", app->config->name, error->message);
        app->stopping = unpack_stop_free(app->stopping);
        if (app->engine)
                return;
        adopt_end_after_crash(app->store, &app->record);
        app_clean_start(app->clean); /* what a crash left */
        app_evaluate(app);
}

static int open_parts(App *app, Error *error) {
        const AppContext *context = &app->context;
        int r;

        r = store_open(context->config->state_dir, app->config->name, &app->store, error);
        if (r >= 0)
                r = open_record(app, error);
        if (r >= 0)
                r = open_report(app, error);
        if (r >= 0)
                r = open_audit(app, error);
        if (r >= 0)
                r = open_clean(app, error);
        if (r >= 0)
                r = hook_logs_new(context->event, app->store->app_fd, HOOK_LOGS_INTERVAL, &app->logs, error);
        if (r >= 0)
                r = unpack_stop_start(context->manager, app->store, app->config->name, on_unpackers_stopped,
                                      app, &app->stopping, error);
        if (r < 0)
                return r;
        /* The values that the good release runs with hold until there is a target. */
        return environment_of_good(&app->record, &app->environment, app->env_sha256) < 0 ? error_oom(error)
                                                                                         : 0;
}

static int start_watch(App *app, Error *error) {
        const AppContext *context = &app->context;
        const TargetWatchContext watch = {
                .event = context->event,
                .clock = context->clock,
                .depot = context->depot,
                .root = context->root,
                .record = &app->record,
                .app_fd = app->store->app_fd,
                .app = app->config->name,
                .group = app->group,
                .instance = context->identity->instance,
                .interval = context->config->poll_interval,
        };

        const RolloutWatchContext rollout = {
                .look = {
                        .event = context->event,
                        .clock = context->clock,
                        .depot = context->depot,
                        .app = app->config->name,
                        .group = app->group,
                        .instance = context->identity->report_id,
                        .report_interval = context->config->report_interval,
                        .look_max = context->config->poll_interval,
                        .aws = context->aws,
                        .notify = context->notify,
                },
                .record = &app->record,
                .app_fd = app->store->app_fd,
        };
        int r;

        if (!context->depot)
                return 0;
        r = target_watch_new(&watch, app_on_target, app, &app->watch, error);
        if (r >= 0)
                r = rollout_watch_new(&rollout, app_on_rollout, app, &app->rollout, error);
        return r < 0 ? r : app_rollout_open_health(app, error);
}

static int resume(App *app, Error *error) {
        const EngineContext context = app_engine_context(app);

        app_traffic_settle(app);
        if (!deployment_is_running(&app->record.deployment)) {
                app_keep_history(app);
                placement_prune_environments(app->store, &app->record);
                return 0;
        }
        return engine_resume(&context, app_on_deployed, app_on_progress, app, &app->engine, error);
}

void app_close(App *app) {
        app->engine = engine_free(app->engine);
        app->recheck = recheck_free(app->recheck);
        app->rejoin = rejoin_free(app->rejoin);
        app_traffic_leave_turn(app);
        app_health_stop(app);
        app->stopping = unpack_stop_free(app->stopping);
        app->clean = app_clean_free(app->clean);
        app->audit = app_audit_free(app->audit);
        app->rollout_failure = failure_upload_free(app->rollout_failure);
        app->rollout_health = rollout_health_free(app->rollout_health);
        app->rollout = rollout_watch_free(app->rollout);
        app->watch = target_watch_free(app->watch);
        app->report = report_free(app->report);
        app->logs = hook_logs_free(app->logs);
        app->environment = strv_free(app->environment);
        record_deinit(&app->record);
        app->store = store_free(app->store);
}

/* One app whose state cannot be read, or must not be, keeps none of the others from its work: what it runs goes on, and it
 * is tried again. */
void app_open(App *app) {
        const LogFields fields = app_fields(app);
        Error error = {};
        int r;

        r = open_parts(app, &error);
        if (r >= 0)
                r = start_watch(app, &error);
        if (r >= 0)
                r = resume(app, &error);
        if (r >= 0) {
                app->decision.reason[0] = '\0';
                app_heed_life(app);
                return;
        }
        app_close(app);
        if (strcmp(app->decision.reason, error.message) != 0)
                log_message(LOG_ERR, NULL, &fields, "%s", error.message);
        app->decision = (Decision){ .action = DECISION_WAIT };
        snprintf(app->decision.reason, sizeof(app->decision.reason), "%s", error.message);
        app_retry_at(app, usec_add(clock_realtime(app->context.clock), OPEN_RETRY));
        app->changed(app, app->userdata);
}
