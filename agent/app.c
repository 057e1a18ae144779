#include <limits.h>
#include <malloc.h>
#include <stdio.h>
#include <string.h>

#include "agent/adopt.h"
#include "agent/app_history.h"
#include "agent/app_life.h"
#include "agent/app_parts.h"
#include "agent/app_status.h"
#include "agent/base/strv.h"
#include "agent/codedeploy_paths.h"
#include "agent/decision_json.h"
#include "agent/environment.h"
#include "agent/placement.h"
#include "agent/record_history.h"

LogFields app_fields(const App *app) {
        return (LogFields){ .app = app->config->name, .instance = app->context.identity->instance };
}

bool app_is_open(const App *app) {
        return app->logs;
}

int app_not_open(const App *app, Error *error) {
        return error_set(error, -EAGAIN, "%s is not looked after yet: %s", app->config->name,
                         app->decision.reason[0] ? app->decision.reason : "its state is being read");
}

EngineContext app_engine_context(App *app) {
        return (EngineContext){
                .event = app->context.event,
                .clock = app->context.clock,
                .config = app->context.config,
                .depot = app->context.depot,
                .root = app->context.root,
                .manager = app->context.manager,
                .store = app->store,
                .record = &app->record,
                .app = app->config->name,
                .group = app->group,
                .instance = app->context.identity->instance,
                .boot_id = app->context.boot_id,
                .audit = app->audit,
                .traffic = app_engine_traffic(app),
                .look = { app->watch ? app_begin_look : NULL, app_objects, app_leaves, app },
        };
}

void app_report(App *app) {
        json_t *status;

        if (app->report && app_status(app, &status) >= 0) {
                if (json_object_set_new(status, "instance", json_string(app->context.identity->instance)) ==
                            0 &&
                    json_object_set_new(status, "group", json_string(app->group)) == 0 &&
                    json_object_set_new(status, "agent_version", json_string(MUSTER_VERSION)) == 0 &&
                    app_rollout_to_json(app, true, status) == 0 &&
                    json_object_update(status, app->report_members) == 0)
                        report_set(app->report, status);
                else
                        json_decref(status);
        }
}

void app_tell(App *app) {
        app_report(app);
        app->changed(app, app->userdata);
}

/* Of what is not the good release nobody's script asks by CodeDeploy's path any more. */
static void prune_codedeploy_paths(const App *app) {
        const ReleaseRef *good = &app->record.good;
        char name[STORE_NAME_SIZE] = "", folder[PATH_MAX], keep[PATH_MAX + STORE_NAME_SIZE];

        if (good->version && store_name(good->version, good->sha256, name) < 0)
                return;
        (void) snprintf(folder, sizeof(folder), "%s/releases", app->store->path);
        (void) snprintf(keep, sizeof(keep), "%s/%s", folder, name);
        codedeploy_paths_prune(CODEDEPLOY_ROOT_DIR, app->group, folder, keep);
}

void app_on_deployed(_unused_ Engine *engine, void *userdata) {
        App *app = userdata;

        app->engine = engine_free(app->engine);
        if (app->record.deployment.outcome == OUTCOME_SUCCEEDED)
                app->misplacements = 0;
        if (app->record.deployment.kind == KIND_ADOPT)
                adopt_end(app->store, &app->record);
        placement_prune_environments(app->store, &app->record);
        prune_codedeploy_paths(app);
        (void) malloc_trim(0); /* what the download took does not stay with an agent that is idle for days */
        app_clean_start(app->clean);
        app_evaluate(app);
}

void app_on_progress(_unused_ Engine *engine, void *userdata) {
        app_tell(userdata);
}

static EngineOrder order_for(App *app, const Target *target) {
        EngineOrder order = {
                .kind = app->decision.action == DECISION_PREFETCH ? KIND_PREFETCH : KIND_DEPLOY,
                .env_changed = app->decision.env_changed,
                .environment = app->environment,
                .env_sha256 = app->env_sha256,
                .archive_fd = -1,
        };

        if (app->decision.action == DECISION_DRAIN) {
                order.kind = KIND_DRAIN;
                order.release = *decision_runs(&app->record);
                return order;
        }
        order.release = *app->decision.release;
        if (app->decision.local_pin || !target)
                return order;
        order.serial = target->serial;
        order.rollout = target->pinned ? NULL : target->rollout.id;
        order.release_floor = target->release_floor;
        return order;
}

void app_keep_history(App *app) {
        const Deployment *deployment = &app->record.deployment;
        Error error = {};

        if (deployment->id && !record_has_history(app->store->app_fd, deployment->id) &&
            record_keep_history(app->store->app_fd, deployment, &error) < 0)
                log_warning("%s: %s", app->config->name, error.message);
}

void app_make_way(App *app) {
        app_clean_stop(app->clean);
        app_audit_stop(app->audit);
        app->recheck = recheck_free(app->recheck);
        app->rejoin = rejoin_free(app->rejoin);
        app_health_stop(app);
        if (app->rollout_health)
                rollout_health_stop(app->rollout_health);
        app_keep_history(app);
}

static void deploy(App *app, const Target *target, const DecisionFacts *facts) {
        const EngineContext context = app_engine_context(app);
        _cleanup_free_ char *decided_on = NULL;
        EngineOrder order = order_for(app, target);
        Error error = {};

        if (decision_to_text(facts, &app->decision, &decided_on) < 0)
                decided_on = NULL; /* it cannot be replayed, then */
        order.facts = decided_on;
        app_make_way(app);
        if (engine_start(&context, &order, app_on_deployed, app_on_progress, app, &app->engine, &error) < 0)
                log_error("%s: cannot begin a deployment: %s", app->config->name, error.message);
        if (app->engine && order.kind == KIND_DEPLOY) {
                app_rollout_deploys(app);
                app_look_at_life(app);
        }
}

static int on_retry(_unused_ sd_event_source *source, _unused_ uint64_t usec, void *userdata) {
        App *app = userdata;

        if (app->misplaced)
                app_close(app);
        app->misplaced = false;
        if (app_is_open(app))
                app_evaluate(app);
        else
                app_open(app);
        return 0;
}

void app_retry_at(App *app, uint64_t at) {
        uint64_t now = clock_realtime(app->context.clock);

        (void) sd_event_source_set_time_relative(app->retry, at > now ? at - now : 0);
        (void) sd_event_source_set_enabled(app->retry, SD_EVENT_ONESHOT);
}

static void note_failed_check(App *app, const Error *error) {
        app->checks.count++;
        app->checks.at = clock_realtime(app->context.clock);
        snprintf(app->checks.reason, sizeof(app->checks.reason), "%s", error->message);
}

static void on_rechecked(_unused_ Recheck *recheck, int result, const Error *error, void *userdata) {
        App *app = userdata;
        Error problem = {};

        if (result == 0) {
                app->checks = (FailedChecks){};
                if (string_set(&app->record.good_boot_id, app->context.boot_id) < 0 ||
                    record_save(app->store->app_fd, &app->record, &problem) < 0)
                        log_warning("%s: %s", app->config->name, problem.message);
        } else {
                note_failed_check(app, error);
        }
        app->recheck = recheck_free(app->recheck);
        app_evaluate(app);
}

static void check_good(App *app) {
        const EngineContext context = app_engine_context(app);
        Error error = {};

        if (recheck_start(&context, on_rechecked, app, &app->recheck, &error) >= 0)
                return;
        note_failed_check(app, &error);
        app_retry_at(app, usec_add(app->checks.at, DECISION_RETRY_FIRST));
}

static void roll_back(App *app) {
        const EngineContext context = app_engine_context(app);
        Error error = {};

        app->rejoin = rejoin_free(app->rejoin);
        if (engine_retry_rollback(&context, app_on_deployed, app_on_progress, app, &app->engine, &error) < 0)
                log_error("%s: %s", app->config->name, error.message);
}

static void act(App *app, const Target *target, const DecisionFacts *facts) {
        switch (app->decision.action) {
        case DECISION_DRAIN:
                deploy(app, NULL, facts);
                break;
        case DECISION_DEPLOY:
        case DECISION_PREFETCH:
                if (target || app->decision.local_pin)
                        deploy(app, target, facts);
                break;
        case DECISION_CHECK:
                check_good(app);
                break;
        case DECISION_ROLL_BACK:
                roll_back(app);
                break;
        default:
                break;
        }
        if (app->decision.retry_at > 0 && !app->engine)
                app_retry_at(app, app->decision.retry_at);
}

void app_evaluate(App *app) {
        const Target *target = app_target(app);
        char was[DECISION_REASON_MAX];
        DecisionFacts facts;

        if (app_is_misplaced(app) || app->stopping)
                return;
        app_rollout_settle(app);
        if (app->engine)
                return;
        app_keep_current(app);
        app_traffic_settle(app);
        memcpy(was, app->decision.reason, sizeof(was));
        facts = app_decision_facts(app);
        decide(&facts, &app->decision);
        if ((target || app->decision.local_pin) && strcmp(was, app->decision.reason) != 0) {
                const LogFields fields = app_fields(app);

                log_message(LOG_INFO, NULL, &fields, "%s", app->decision.reason);
        }
        if (!app->recheck || app->decision.action == DECISION_DEPLOY ||
            app->decision.action == DECISION_DRAIN)
                act(app, target, &facts);
        app->decision.release = NULL; /* it was of the facts */
        app_health_settle(app);
        app_tell(app);
}

int app_new(const AppContext *context, const AppConfig *config, AppChanged changed, void *userdata, App **ret,
            Error *error) {
        _cleanup_(app_freep) App *app = NULL;
        int r;

        app = calloc(1, sizeof(*app));
        if (!app)
                return error_oom(error);
        app->context = *context;
        app->config = config;
        app->changed = changed;
        app->userdata = userdata;
        app->group = config->group ? config->group : context->identity->group;
        app->began = clock_boottime(context->clock);
        r = sd_event_add_time_relative(context->event, &app->retry, CLOCK_BOOTTIME, 0, TIMER_ACCURACY_EXACT,
                                       on_retry, app);
        if (r < 0)
                return error_set_errno(error, r, "cannot use the event loop");
        app->report_members = json_object();
        if (!app->report_members)
                return error_oom(error);
        *ret = TAKE_PTR(app);
        return 0;
}

App *app_free(App *app) {
        if (!app)
                return NULL;
        app_close(app);
        sd_event_source_unref(app->retry);
        json_decref(app->report_members);
        free(app);
        return NULL;
}

uint64_t app_poll(App *app) {
        return app->watch ? target_watch_poll(app->watch) : 0;
}

bool app_has_looked(const App *app, uint64_t look) {
        return app->watch && target_watch_has_looked(app->watch, look);
}

int app_offer_target(App *app, const void *envelope, size_t size, Error *error) {
        return app->watch ? target_watch_offer(app->watch, envelope, size, error) : app_not_open(app, error);
}

void app_set_poll_interval(App *app, uint64_t interval) {
        if (app->watch)
                target_watch_set_interval(app->watch, interval);
}

void app_check_installed(App *app) {
        if (app_is_open(app) && !app->engine)
                app_audit_start(app->audit, true);
}

const char *app_name(const App *app) {
        return app->config->name;
}

const char *app_group(const App *app) {
        return app->group;
}

bool app_is_required(const App *app) {
        return app->config->required;
}

/* What serves is about to be replaced, or it is not known yet whether: an instance that comes back to its group, or to another
 * one, does not enter service with what it ran before. */
static bool is_to_change(const App *app) {
        bool deploys = app->engine && app->record.deployment.kind == KIND_DEPLOY,
             looked = !app->watch || app_target(app) || target_watch_problem(app->watch);

        return deploys || app->decision.action == DECISION_DEPLOY || !looked;
}

AppReadiness app_readiness(const App *app) {
        DecisionAction action = app->decision.action;
        bool given_up = (action == DECISION_FAILED && !app->record.good.version) ||
                        action == DECISION_UNHEALTHY || action == DECISION_STUCK;

        if (action == DECISION_PREFETCHED ||
            (decision_is_serving(&app->record, app->context.boot_id) && !is_to_change(app)))
                return APP_READY;
        return !app->engine && given_up ? APP_FAILED : APP_ON_ITS_WAY;
}

const Deployment *app_deployment(const App *app) {
        return app->engine ? &app->record.deployment : NULL;
}

const char *app_reason(const App *app) {
        return app->decision.reason;
}

int app_status(const App *app, json_t **ret) {
        const AppStatusFacts facts = {
                .name = app->config->name,
                .required = app->config->required,
                .record = &app->record,
                .decision = &app->decision,
                .target = app_target(app),
                .target_problem = app->watch ? target_watch_problem(app->watch) : NULL,
                .deploying = app->engine,
                .problem = app->engine ? engine_problem(app->engine) : "",
                .serving = decision_is_serving(&app->record, app->context.boot_id),
                .percent = app->engine ? engine_percent(app->engine) : -1,
        };
        json_auto_t *status = NULL;
        int r;

        r = app_status_to_json(&facts, &status);
        if (r >= 0 && app_is_open(app))
                r = app_audit_to_json(app->audit, status);
        if (r >= 0)
                r = app_traffic_to_json(app, status);
        if (r >= 0)
                r = app_health_to_json(app, status);
        if (r >= 0)
                r = app_rollout_to_json(app, false, status);
        if (r >= 0)
                *ret = TAKE_PTR(status);
        return r;
}

const char *app_undelivered(const App *app, uint64_t *ret_since) {
        return app->report ? report_undelivered(app->report, ret_since) : NULL;
}

int app_history(const App *app, size_t limit, json_t **ret, Error *error) {
        if (!app_is_open(app))
                return app_not_open(app, error);
        return app_history_read(app->config->name, app->store->app_fd,
                                app->engine ? &app->record.deployment : NULL, limit, ret, error);
}
