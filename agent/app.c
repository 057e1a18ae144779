#include <malloc.h>
#include <string.h>

#include "agent/app.h"
#include "agent/app_audit.h"
#include "agent/app_clean.h"
#include "agent/app_history.h"
#include "agent/app_status.h"
#include "agent/base/log.h"
#include "agent/base/strv.h"
#include "agent/decision_json.h"
#include "agent/engine.h"
#include "agent/environment.h"
#include "agent/hook_logs.h"
#include "agent/instance_pin.h"
#include "agent/messages.h"
#include "agent/placement.h"
#include "agent/recheck.h"
#include "agent/record_history.h"
#include "agent/record_open.h"
#include "agent/report.h"
#include "agent/target_watch.h"
#include "agent/unpack_stop.h"
#include "artifacts/layout.h"

#define OPEN_RETRY (30 * USEC_PER_SEC)

struct App {
        AppContext context;
        const AppConfig *config;
        AppChanged changed;
        void *userdata;
        const char *group;
        ReleaseStore *store;
        Record record;
        TargetWatch *watch;
        char **environment; /* the group's values, of the target in force */
        char env_sha256[DIGEST_HEX_SIZE];
        Engine *engine;
        AppClean *clean;
        AppAudit *audit;
        HookLogs *logs;
        Report *report;
        sd_event_source *retry;
        Recheck *recheck;
        UnpackStop *stopping; /* what a musterd that is no more was unpacking */
        FailedChecks checks;  /* of the good release, in this boot */
        Decision decision;
};

static void evaluate(App *app);
static void open_app(App *app);

static LogFields fields_of(const App *app) {
        return (LogFields){ .app = app->config->name, .instance = app->context.identity->instance };
}

static void begin_look(void *userdata);
static bool is_superseded(void *userdata);

/* Its state has been read; until then it has none of its parts. */
static bool is_open(const App *app) {
        return app->logs;
}

static int not_open(const App *app, Error *error) {
        return error_set(error, -EAGAIN, "%s is not looked after yet: %s", app->config->name,
                         app->decision.reason[0] ? app->decision.reason : "its state is being read");
}

static EngineContext engine_context(App *app) {
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
                .look = { app->watch ? begin_look : NULL, is_superseded, app },
        };
}

static const Target *target_of(const App *app) {
        return app->watch ? target_watch_target(app->watch) : NULL;
}

static const char *why_no_target(const App *app) {
        return app->watch ? target_watch_problem(app->watch)
                          : "there is no depot to follow, only what root deploys with muster deploy --local";
}

static void tell(App *app) {
        json_t *status;

        if (app->report && app_status(app, &status) >= 0) {
                if (json_object_set_new(status, "instance", json_string(app->context.identity->instance)) ==
                            0 &&
                    json_object_set_new(status, "group", json_string(app->group)) == 0 &&
                    json_object_set_new(status, "agent_version", json_string(MUSTER_VERSION)) == 0)
                        report_set(app->report, status);
                else
                        json_decref(status);
        }
        app->changed(app, app->userdata);
}

static void on_cleaned(_unused_ AppClean *clean, void *userdata) {
        App *app = userdata;

        app_audit_start(app->audit, false);
}

static void on_audited(_unused_ AppAudit *audit, void *userdata) {
        tell(userdata);
}

static void on_deployed(_unused_ Engine *engine, void *userdata) {
        App *app = userdata;

        app->engine = engine_free(app->engine);
        placement_prune_environments(app->store);
        (void) malloc_trim(0); /* what the download took does not stay with an agent that is idle for days */
        app_clean_start(app->clean);
        evaluate(app);
}

static void on_progress(_unused_ Engine *engine, void *userdata) {
        tell(userdata);
}

static EngineOrder order_for(App *app, const Target *target) {
        EngineOrder order = {
                .env_changed = app->decision.env_changed,
                .environment = app->environment,
                .env_sha256 = app->env_sha256,
                .archive_fd = -1,
        };

        if (app->decision.local_pin || !target) {
                order.release = app->record.pin.release;
                return order;
        }
        order.release.version = target->stable.version;
        memcpy(order.release.sha256, target->stable.sha256, sizeof(order.release.sha256));
        order.serial = target->serial;
        order.rollout = target->pinned ? NULL : target->rollout.id;
        order.release_floor = target->release_floor;
        return order;
}

/* The record had its end, but musterd was killed, or the disk was full, before its history did. */
static void keep_history(App *app) {
        const Deployment *deployment = &app->record.deployment;
        Error error = {};

        if (deployment->id && !record_has_history(app->store->app_fd, deployment->id) &&
            record_keep_history(app->store->app_fd, deployment, &error) < 0)
                log_warning("%s: %s", app->config->name, error.message);
}

/* Before a deployment: whatever else goes on in the store ends. */
static void make_way(App *app) {
        app_clean_stop(app->clean);
        app_audit_stop(app->audit);
        app->recheck = recheck_free(app->recheck);
        keep_history(app);
}

static void deploy(App *app, const Target *target, const DecisionFacts *facts) {
        const EngineContext context = engine_context(app);
        _cleanup_free_ char *decided_on = NULL;
        EngineOrder order = order_for(app, target);
        Error error = {};

        if (decision_to_text(facts, &app->decision, &decided_on) < 0)
                decided_on = NULL; /* it cannot be replayed, then */
        order.facts = decided_on;
        make_way(app);
        if (engine_start(&context, &order, on_deployed, on_progress, app, &app->engine, &error) < 0)
                log_error("%s: cannot begin a deployment: %s", app->config->name, error.message);
}

static int on_retry(_unused_ sd_event_source *source, _unused_ uint64_t usec, void *userdata) {
        App *app = userdata;

        if (is_open(app))
                evaluate(app);
        else
                open_app(app);
        return 0;
}

static void retry_at(App *app, uint64_t at) {
        uint64_t now = clock_realtime(app->context.clock);

        (void) sd_event_source_set_time_relative(app->retry, at > now ? at - now : 0);
        (void) sd_event_source_set_enabled(app->retry, SD_EVENT_ONESHOT);
}

static DecisionFacts facts_of(const App *app) {
        const Target *target = target_of(app);
        DecisionFacts facts = {
                .record = &app->record,
                .instance = app->context.identity->instance,
                .target_known = target,
                .env_sha256 = app->env_sha256,
                .no_target = why_no_target(app),
                .boot_id = app->context.boot_id,
                .checks = &app->checks,
                .now = clock_realtime(app->context.clock),
        };

        if (target) {
                facts.target_serial = target->serial;
                facts.target_sha256 = target->sha256;
                facts.pinned = target->pinned;
                facts.rollout = target->pinned ? NULL : target->rollout.id;
                facts.stable.version = target->stable.version;
                memcpy(facts.stable.sha256, target->stable.sha256, sizeof(facts.stable.sha256));
        }
        return facts;
}

static void begin_look(void *userdata) {
        App *app = userdata;

        (void) target_watch_poll(app->watch);
}

static bool is_superseded(void *userdata) {
        const App *app = userdata;
        const DecisionFacts facts = facts_of(app);

        return decision_supersedes(&facts, &app->record.deployment);
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
        evaluate(app);
}

static void check_good(App *app) {
        const EngineContext context = engine_context(app);
        Error error = {};

        if (recheck_start(&context, on_rechecked, app, &app->recheck, &error) >= 0)
                return;
        note_failed_check(app, &error);
        retry_at(app, usec_add(app->checks.at, DECISION_RETRY_FIRST));
}

static void roll_back(App *app) {
        const EngineContext context = engine_context(app);
        Error error = {};

        if (engine_retry_rollback(&context, on_deployed, on_progress, app, &app->engine, &error) < 0)
                log_error("%s: %s", app->config->name, error.message);
}

static void act(App *app, const Target *target, const DecisionFacts *facts) {
        switch (app->decision.action) {
        case DECISION_DEPLOY:
                if (target || app->decision.local_pin)
                        deploy(app, target, facts);
                break;
        case DECISION_CHECK:
                check_good(app);
                break;
        case DECISION_ROLL_BACK:
                roll_back(app);
                break;
        case DECISION_RETRY:
                retry_at(app, app->decision.retry_at);
                break;
        default:
                break;
        }
}

static void evaluate(App *app) {
        const Target *target = target_of(app);
        char was[DECISION_REASON_MAX];
        DecisionFacts facts;

        if (app->engine || app->stopping)
                return;
        if (target && environment_of_target(target, &app->environment, app->env_sha256) < 0) {
                log_error("%s: out of memory", app->config->name);
                return;
        }
        memcpy(was, app->decision.reason, sizeof(was));
        facts = facts_of(app);
        decide(&facts, &app->decision);
        if ((target || app->decision.local_pin) && strcmp(was, app->decision.reason) != 0) {
                const LogFields fields = fields_of(app);

                log_message(LOG_INFO, NULL, &fields, "%s", app->decision.reason);
        }
        if (!app->recheck || app->decision.action == DECISION_DEPLOY)
                act(app, target, &facts);
        tell(app);
}

/* A deployment that has not changed anything yet, or is but checked, is given up for another release. */
static void go_for_another(App *app, const char *why) {
        if (app->engine && !app->record.deployment.local && is_superseded(app))
                (void) engine_cancel(app->engine, why);
}

/* One that has looks at the target before it goes on to something that could not be undone. */
static void on_target(TargetWatch *watch, void *userdata) {
        App *app = userdata;

        go_for_another(app, ENGINE_SUPERSEDED);
        if (app->engine && watch && !target_watch_is_looking(watch))
                engine_looked(app->engine);
        evaluate(app);
        if (app->engine) /* which evaluate() leaves alone */
                app->changed(app, app->userdata);
}

static int resume(App *app, Error *error) {
        const EngineContext context = engine_context(app);

        if (!deployment_is_running(&app->record.deployment)) {
                keep_history(app);
                placement_prune_environments(app->store);
                return 0;
        }
        return engine_resume(&context, on_deployed, on_progress, app, &app->engine, error);
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
                .fields = fields_of(app),
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
                const LogFields fields = fields_of(app);

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
        app_clean_start(app->clean); /* what a crash left */
        evaluate(app);
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

        return context->depot ? target_watch_new(&watch, on_target, app, &app->watch, error) : 0;
}

static void close_app(App *app) {
        app->engine = engine_free(app->engine);
        app->recheck = recheck_free(app->recheck);
        app->stopping = unpack_stop_free(app->stopping);
        app->clean = app_clean_free(app->clean);
        app->audit = app_audit_free(app->audit);
        app->watch = target_watch_free(app->watch);
        app->report = report_free(app->report);
        app->logs = hook_logs_free(app->logs);
        app->environment = strv_free(app->environment);
        record_deinit(&app->record);
        app->store = store_free(app->store);
}

/* One app whose state cannot be read, or must not be, keeps none of the others from its work: what it runs goes on, and it
 * is tried again. */
static void open_app(App *app) {
        const LogFields fields = fields_of(app);
        Error error = {};
        int r;

        r = open_parts(app, &error);
        if (r >= 0)
                r = start_watch(app, &error);
        if (r >= 0)
                r = resume(app, &error);
        if (r >= 0) {
                app->decision.reason[0] = '\0';
                return;
        }
        close_app(app);
        if (strcmp(app->decision.reason, error.message) != 0)
                log_message(LOG_ERR, NULL, &fields, "%s", error.message);
        app->decision = (Decision){ .action = DECISION_WAIT };
        snprintf(app->decision.reason, sizeof(app->decision.reason), "%s", error.message);
        retry_at(app, usec_add(clock_realtime(app->context.clock), OPEN_RETRY));
        app->changed(app, app->userdata);
}

/* Who asks as soon as musterd runs, or is the first to name this app, need not ask again. */
static void open_now(App *app) {
        (void) sd_event_source_set_enabled(app->retry, SD_EVENT_OFF);
        open_app(app);
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
        r = sd_event_add_time_relative(context->event, &app->retry, CLOCK_BOOTTIME, 0, TIMER_ACCURACY_EXACT,
                                       on_retry, app);
        if (r < 0)
                return error_set_errno(error, r, "cannot use the event loop");
        *ret = TAKE_PTR(app);
        return 0;
}

App *app_free(App *app) {
        if (!app)
                return NULL;
        close_app(app);
        sd_event_source_unref(app->retry);
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
        return app->watch ? target_watch_offer(app->watch, envelope, size, error) : not_open(app, error);
}

void app_set_poll_interval(App *app, uint64_t interval) {
        if (app->watch)
                target_watch_set_interval(app->watch, interval);
}

/* The app's name and version come from the release itself. */
int app_deploy_local(App *app, const char *release_json, int archive_fd, char **ret_id, Error *error) {
        _cleanup_release_ Release *release = NULL;
        EngineContext context;
        EngineOrder order;
        int r;

        if (!is_open(app))
                open_now(app);
        if (!is_open(app))
                return not_open(app, error);
        context = engine_context(app);
        if (app->engine)
                return error_set(error, -EBUSY, "deployment %s of %s is running", app->record.deployment.id,
                                 app->config->name);
        if (app->record.pin.release.version)
                return error_set(error, -EBUSY,
                                 "%s is pinned to %s on this instance: muster unpin --local %s first",
                                 app->config->name, app->record.pin.release.version, app->config->name);
        r = release_parse(release_json, strlen(release_json), &release, error);
        if (r < 0)
                return -EINVAL;
        order = (EngineOrder){
                .release.version = release->version,
                .environment = app->environment,
                .env_sha256 = app->env_sha256,
                .release_json = release_json,
                .archive_fd = archive_fd,
        };
        memcpy(order.release.sha256, release->sha256, sizeof(order.release.sha256));
        make_way(app);
        r = engine_start(&context, &order, on_deployed, on_progress, app, &app->engine, error);
        if (r < 0)
                return r;
        if (string_set(ret_id, app->record.deployment.id) < 0)
                return error_oom(error);
        tell(app);
        return 0;
}

int app_pin(App *app, const char *version, const char *reason, bool *ret_changed, char **ret_id,
            Error *error) {
        const InstancePinOrder order = { version, reason, clock_realtime(app->context.clock) };
        const Deployment *deployment = &app->record.deployment;
        int r;

        if (!is_open(app))
                return not_open(app, error);
        r = instance_pin_set(app->store, &app->record, &order, ret_changed, error);
        if (r < 0)
                return r;
        go_for_another(app, "this instance was pinned to another release");
        evaluate(app);
        if (app->engine && deployment_is_running(deployment) &&
            release_ref_equal(&deployment->to, &app->record.pin.release))
                return string_set(ret_id, deployment->id) < 0 ? error_oom(error) : 0;
        return 0;
}

int app_unpin(App *app, bool *ret_changed, Error *error) {
        int r;

        if (!is_open(app))
                return not_open(app, error);
        r = instance_pin_clear(app->store, &app->record, ret_changed, error);
        if (r >= 0)
                on_target(app->watch, app);
        return r;
}

void app_check_installed(App *app) {
        if (is_open(app) && !app->engine)
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

AppReadiness app_readiness(const App *app) {
        DecisionAction action = app->decision.action;
        bool given_up = (action == DECISION_FAILED && !app->record.good.version) ||
                        action == DECISION_UNHEALTHY || action == DECISION_STUCK;

        if (decision_is_serving(&app->record, app->context.boot_id))
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
                .target = target_of(app),
                .target_problem = app->watch ? target_watch_problem(app->watch) : NULL,
                .deploying = app->engine,
                .problem = app->engine ? engine_problem(app->engine) : "",
                .serving = decision_is_serving(&app->record, app->context.boot_id),
                .percent = app->engine ? engine_percent(app->engine) : -1,
        };
        json_auto_t *status = NULL;
        int r;

        r = app_status_to_json(&facts, &status);
        if (r >= 0 && is_open(app))
                r = app_audit_to_json(app->audit, status);
        if (r >= 0)
                *ret = TAKE_PTR(status);
        return r;
}

const char *app_undelivered(const App *app, uint64_t *ret_since) {
        return app->report ? report_undelivered(app->report, ret_since) : NULL;
}

int app_history(const App *app, size_t limit, json_t **ret, Error *error) {
        if (!is_open(app))
                return not_open(app, error);
        return app_history_read(app->config->name, app->store->app_fd,
                                app->engine ? &app->record.deployment : NULL, limit, ret, error);
}
