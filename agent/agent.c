#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>

#include "agent/agent_life.h"
#include "agent/agent_parts.h"
#include "agent/base/file.h"
#include "agent/base/log.h"
#include "agent/base/strv.h"
#include "agent/boot_id.h"
#include "agent/config_aws.h"
#include "agent/identity_cache.h"
#include "agent/local.h"
#include "agent/messages.h"
#include "agent/net/aws_error.h"
#include "agent/public_view.h"
#include "agent/state_lock.h"

#define RETRY_FIRST (1 * USEC_PER_SEC)
#define RETRY_MAX (30 * USEC_PER_SEC)
#define CONFIG_SETTLE (200 * USEC_PER_MSEC) /* after a write, for the one that follows it */
#define STATE_DIR_MODE 0755

static void setup_deinit(Setup *setup) {
        wakeup_free(setup->wakeup);
        for (size_t i = 0; i < setup->n_apps; i++)
                app_free(setup->apps[i]);
        notify_free(setup->notify);
        aws_context_free(setup->notify_aws);
        leave_free(setup->leave);
        life_watch_free(setup->life);
        launch_free(setup->launch);
        root_update_free(setup->root_update);
        identify_free(setup->identify);
        identity_check_free(setup->identity_check);
        depot_free(setup->depot);
        aws_context_free(setup->aws);
        identity_deinit(&setup->identity);
        trust_root_free(setup->root);
        close_fd(setup->state_fd);
        close_fd(setup->lock_fd);
        config_free(setup->config);
        *setup = (Setup){ .state_fd = -1, .lock_fd = -1 };
}

bool agent_is_deploying(const Agent *agent) {
        for (size_t i = 0; i < agent->setup.n_apps; i++)
                if (app_deployment(agent->setup.apps[i]))
                        return true;
        return false;
}

static void build_after(Agent *agent, uint64_t usec) {
        (void) sd_event_source_set_time_relative(agent->timer, usec);
        (void) sd_event_source_set_enabled(agent->timer, SD_EVENT_ONESHOT);
}

/* One line for `systemctl status`. */
static void tell_manager(const Agent *agent) {
        const Setup *setup = &agent->setup;
        _cleanup_buffer_ Buffer text = {};

        if (agent->waiting[0])
                (void) buffer_printf(&text, "%s", agent->waiting);
        for (size_t i = 0; i < setup->n_apps; i++) {
                const char *reason = app_reason(setup->apps[i]);

                (void) buffer_printf(&text, "%s%s: %.*s", text.size > 0 ? "; " : "", app_name(setup->apps[i]),
                                     (int) public_view_length(reason), reason);
        }
        (void) sd_notifyf(false, "STATUS=%s", buffer_string(&text));
}

/* A fault that lasts is logged once. */
static void wait_for(Agent *agent, int priority, const char *what) {
        if (aws_error_is_same(agent->waiting, what))
                return;
        snprintf(agent->waiting, sizeof(agent->waiting), "%s", what);
        log_message(priority, NULL, NULL, "%s", what);
        tell_manager(agent);
        bus_service_changed(agent->bus);
}

/* The configuration stays, so that the status can say what the agent was told. */
static void give_up_for_now(Agent *agent, const Error *error) {
        Config *config = TAKE_PTR(agent->setup.config);

        setup_deinit(&agent->setup);
        agent->setup.config = config;
        wait_for(agent, LOG_ERR, error->message);
        build_after(agent, agent->retry_delay);
        agent->retry_delay = MIN(agent->retry_delay * 2, RETRY_MAX);
}

static void tell_progress(Agent *agent, App *app) {
        const Deployment *deployment = app_deployment(app);
        _cleanup_free_ char *text = NULL;
        json_auto_t *json = NULL;

        if (!deployment || app_status(app, &json) < 0 || public_view_make(json) < 0)
                return;
        text = json_dumps(json, JSON_COMPACT);
        if (text)
                bus_service_progress(agent->bus, app_name(app), deployment->id, text);
}

static void on_app(App *app, void *userdata) {
        Agent *agent = userdata;

        tell_progress(agent, app);
        bus_service_changed(agent->bus);
        tell_manager(agent);
        agent_update_launch(agent);
        agent_update_leave(agent);
        if (agent->setup.wakeup)
                wakeup_looked(agent->setup.wakeup);
        if (agent->reload && !agent_is_deploying(agent))
                build_after(agent, 0);
}

static void on_news(void *userdata) {
        Agent *agent = userdata;

        bus_service_changed(agent->bus);
}

int agent_start_app(Agent *agent, const AppConfig *config, Error *error) {
        Setup *setup = &agent->setup;
        const AppContext context = {
                .event = agent->event,
                .clock = &clock_system,
                .config = setup->config,
                .identity = &setup->identity,
                .depot = setup->depot,
                .root = setup->root,
                .aws = setup->aws,
                .life = setup->life,
                .notify = setup->notify,
                .traffic_turn = &setup->traffic_turn,
                .manager = agent->manager,
                .boot_id = agent->boot_id,
        };
        int r;

        r = app_new(&context, config, on_app, agent, &setup->apps[setup->n_apps], error);
        if (r < 0) {
                error_prefix(error, "app %s", config->name);
                return r;
        }
        app_set_report_member(setup->apps[setup->n_apps], "launch", agent_launch_status(setup));
        agent_tell_life(agent, setup->apps[setup->n_apps++]);
        return 0;
}

static int start_apps(Agent *agent, Error *error) {
        const Config *config = agent->setup.config;
        int r = 0;

        agent_start_notify(agent);
        for (size_t i = 0; i < config->n_apps && r >= 0; i++)
                r = agent_start_app(agent, &config->apps[i], error);
        return r;
}

/* What was taken out of the configuration, or renamed there, goes on as it is; that must not happen without a word. */
static void tell_unattended(const Setup *setup) {
        _cleanup_strv_ char **names = NULL;
        Error error = {};

        if (local_find_unattended(setup->config, setup->state_fd, &names, &error) < 0)
                log_warning("%s", error.message);
        STRV_FOREACH(name, names)
                log_warning(
                        "%s: it is not in the configuration: what was deployed of it here, or half of it, goes on, "
                        "and is not looked after",
                        *name);
}

static void on_root(_unused_ RootUpdate *update, bool kept, void *userdata) {
        Agent *agent = userdata;

        if (agent->setup.wakeup)
                wakeup_looked(agent->setup.wakeup);
        if (kept)
                agent_reload(agent);
}

static int start_root_update(Agent *agent, Error *error) {
        Setup *setup = &agent->setup;
        const RootUpdateContext context = {
                .event = agent->event,
                .clock = &clock_system,
                .depot = setup->depot,
                .root = setup->root,
                .state_fd = setup->state_fd,
        };

        return root_update_new(&context, on_root, agent, &setup->root_update, error);
}

static void on_told(void *userdata) {
        agent_look_at_life(userdata);
}

static int start_wakeup(Agent *agent, Error *error) {
        Setup *setup = &agent->setup;
        const WakeupContext context = {
                .event = agent->event,
                .clock = &clock_system,
                .config = setup->config,
                .identity = &setup->identity,
                .aws = setup->aws,
                .depot = setup->depot,
                .root = setup->root,
                .state_fd = setup->state_fd,
                .root_update = setup->root_update,
                .apps = setup->apps,
                .n_apps = setup->n_apps,
                .told = on_told,
        };

        return wakeup_new(&context, on_news, agent, &setup->wakeup, error);
}

static int start(Agent *agent, Error *error) {
        Setup *setup = &agent->setup;
        const DepotOptions options = { .event = agent->event, .aws = setup->aws };
        int r;

        r = depot_open(setup->config->depot, &options, &setup->depot, error);
        if (r >= 0)
                r = start_root_update(agent, error);
        if (r >= 0)
                r = agent_start_launch(agent, error);
        if (r >= 0)
                r = agent_start_life(agent, error);
        if (r >= 0)
                r = start_apps(agent, error);
        if (r >= 0)
                r = start_wakeup(agent, error);
        if (r < 0)
                return r;
        agent->waiting[0] = '\0';
        agent->retry_delay = RETRY_FIRST;
        log_message(LOG_INFO, MESSAGE_CONFIGURED, NULL, "instance %s of group %s looks after %zu app%s in %s",
                    setup->identity.instance, setup->identity.group, setup->n_apps,
                    setup->n_apps == 1 ? "" : "s", setup->config->depot);
        tell_unattended(setup);
        tell_manager(agent);
        bus_service_changed(agent->bus);
        return 0;
}

/* Better than what was found so far, for the next musterd of this boot. */
static void remember_identity(const Config *config, const Identity *identity) {
        Error error = {};

        if (identity_cache_save(IDENTITY_CACHE_FOLDER, config, identity, &error) < 0)
                log_warning("%s", error.message);
}

static void on_identity_checked(IdentityCheck *check, const Identity *found, bool differs, void *userdata) {
        Agent *agent = userdata;

        remember_identity(agent->setup.config, found);
        agent->setup.identity_check = identity_check_free(check);
        if (!differs)
                return;
        log_info("this instance is %s of group %s and reports as %s, and begins anew as that",
                 found->instance, found->group, found->report_id);
        agent_reload(agent);
}

/* What an operator got wrong does not become right by what was found before. */
static int use_cached_identity(Setup *setup, const Error *error) {
        int r;

        if (error->fault == FAULT_INPUT)
                return -ENOENT;
        r = identity_cache_load(IDENTITY_CACHE_FOLDER, setup->config, &setup->identity, NULL);
        if (r >= 0)
                log_warning("%s; going by what was found before in this boot: instance %s of group %s",
                            error->message, setup->identity.instance, setup->identity.group);
        return r;
}

static void on_identified(Identify *identify, int result, const Error *error, void *userdata) {
        Agent *agent = userdata;
        Setup *setup = &agent->setup;
        const char *doubt = identify_doubt(identify);
        bool certain = result >= 0 && !doubt;
        Error problem = {};

        if (result >= 0)
                setup->identity = identify_take(identify);
        else if (use_cached_identity(setup, error) >= 0)
                result = 0;
        else
                problem = *error;
        if (doubt)
                log_info("reports go by the instance id until it is known who we are: %s", doubt);
        if (certain && setup->aws)
                remember_identity(setup->config, &setup->identity);
        if (result >= 0 && !certain)
                result = identity_check_new(agent->event, setup->config, setup->aws, &setup->identity,
                                            on_identity_checked, agent, &setup->identity_check, &problem);
        if (result >= 0)
                result = start(agent, &problem);
        if (result < 0)
                give_up_for_now(agent, &problem);
}

/* Without a depot there is nothing to follow, but root can deploy by hand. */
static int start_local(Agent *agent, Error *error) {
        Setup *setup = &agent->setup;
        int r;

        wait_for(agent, LOG_NOTICE, "unconfigured: waiting for a depot in /etc/muster/muster.conf");
        r = local_add_apps(setup->config, setup->state_fd, error);
        if (r >= 0)
                r = identity_local(setup->config, &setup->identity, error);
        if (r >= 0)
                r = start_apps(agent, error);
        if (r >= 0)
                tell_manager(agent);
        return r;
}

static int build(Agent *agent, Error *error) {
        Setup *setup = &agent->setup;
        int r;

        setup->state_fd = file_open_folder_at(AT_FDCWD, setup->config->state_dir, STATE_DIR_MODE);
        if (setup->state_fd < 0)
                return error_set_errno(error, setup->state_fd, "cannot open %s", setup->config->state_dir);
        setup->lock_fd = state_lock_take(setup->state_fd, setup->config->state_dir, error);
        if (setup->lock_fd < 0)
                return setup->lock_fd;
        if (!config_is_configured(setup->config))
                return start_local(agent, error);
        r = root_update_load(setup->config->trust_root, setup->state_fd, &setup->root, error);
        if (r >= 0)
                r = config_aws_open(setup->config, setup->config->depot, agent->event, &setup->aws, error);
        if (r < 0)
                return r;
        return identify_start(agent->event, setup->config, setup->aws, on_identified, agent, &setup->identify,
                              error);
}

static int on_build(_unused_ sd_event_source *source, _unused_ uint64_t usec, void *userdata) {
        Agent *agent = userdata;
        Config *config = NULL;
        Error error = {};
        int r;

        if (agent_is_deploying(agent)) /* one that was begun meanwhile; on_app() comes back to it */
                return 0;
        agent->reload = false;
        r = config_load(agent->config_path, &config, &error);
        if (r < 0 && agent->setup.n_apps > 0) {
                log_error("%s; what was configured before stays in force", error.message);
                return 0;
        }
        setup_deinit(&agent->setup);
        agent->setup.config = config;
        if (r >= 0)
                r = build(agent, &error);
        if (r < 0)
                give_up_for_now(agent, &error);
        return 0;
}

static void reload_after(Agent *agent, uint64_t usec) {
        agent->reload = true;
        if (!agent_is_deploying(agent))
                build_after(agent, usec);
}

void agent_reload(Agent *agent) {
        reload_after(agent, 0);
}

/* While it waits for a configuration, one that is written is taken up; a running agent's changes with a reload. */
static void on_config_changed(void *userdata) {
        Agent *agent = userdata;

        if (!agent->setup.depot && !agent->setup.identify)
                reload_after(agent, CONFIG_SETTLE);
}

static int open_agent(Agent *agent, Error *error) {
        int r;

        r = boot_id_get(BOOT_ID_FOLDER, agent->boot_id, error);
        if (r < 0)
                return r;
        r = sd_event_add_time_relative(agent->event, &agent->timer, CLOCK_BOOTTIME, 0, TIMER_ACCURACY_EXACT,
                                       on_build, agent);
        if (r < 0)
                return error_set_errno(error, r, "cannot use the event loop");
        r = manager_new(agent->event, &agent->manager, error);
        if (r >= 0)
                r = bus_service_new(agent->event, &agent_bus_handlers, agent, &agent->bus, error);
        return r < 0 ? r
                     : config_watch_new(agent->event, agent->config_path, on_config_changed, agent,
                                        &agent->config_watch, error);
}

int agent_new(sd_event *event, const char *config_path, Agent **ret, Error *error) {
        _cleanup_(agent_freep) Agent *agent = NULL;
        int r;

        agent = malloc(sizeof(*agent));
        if (!agent)
                return error_oom(error);
        *agent = (Agent){
                .event = sd_event_ref(event),
                .retry_delay = RETRY_FIRST,
                .setup = { .state_fd = -1, .lock_fd = -1 },
        };
        if (string_set(&agent->config_path, config_path) < 0)
                return error_oom(error);
        r = open_agent(agent, error);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(agent);
        return 0;
}

Agent *agent_free(Agent *agent) {
        if (!agent)
                return NULL;
        setup_deinit(&agent->setup);
        bus_service_free(agent->bus);
        manager_free(agent->manager);
        sd_event_source_unref(agent->timer);
        sd_event_source_disable_unref(agent->cut);
        config_watch_free(agent->config_watch);
        free(agent->config_path);
        sd_event_unref(agent->event);
        free(agent);
        return NULL;
}
