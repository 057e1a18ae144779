#include <fcntl.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>

#include "agent/agent.h"
#include "agent/app.h"
#include "agent/base/file.h"
#include "agent/base/log.h"
#include "agent/base/strv.h"
#include "agent/boot_id.h"
#include "agent/bus.h"
#include "agent/config_aws.h"
#include "agent/launch.h"
#include "agent/local.h"
#include "agent/messages.h"
#include "agent/net/aws_error.h"
#include "agent/root_update.h"
#include "agent/state_lock.h"
#include "agent/undelivered.h"
#include "agent/wakeup.h"
#include "artifacts/release.h"

#define RETRY_FIRST (1 * USEC_PER_SEC)
#define RETRY_MAX (30 * USEC_PER_SEC)
#define CONFIG_SETTLE (200 * USEC_PER_MSEC) /* after a write, for the one that follows it */
#define STATE_DIR_MODE 0755

/* What the agent is made of once it is configured; all of it is taken down and built again when the configuration
 * changes. */
typedef struct Setup {
        Config *config;
        TrustRoot *root;
        AwsContext *aws;
        Identify *identify;
        Identity identity;
        Depot *depot;
        RootUpdate *root_update;
        int state_fd;
        int lock_fd;
        Launch *launch;
        App *apps[CONFIG_APPS_MAX];
        size_t n_apps;
        Wakeup *wakeup; /* NULL: there is no queue */
} Setup;

struct Agent {
        sd_event *event;
        char *config_path;
        char boot_id[SD_ID128_STRING_MAX];
        Manager *manager;
        BusService *bus;
        int inotify_fd;
        sd_event_source *inotify;
        sd_event_source *timer; /* builds the setup */
        uint64_t retry_delay;
        bool reload;                     /* once no deployment runs */
        char waiting[ERROR_MESSAGE_MAX]; /* what it lacks, "" while it runs */
        Setup setup;
};

static void setup_deinit(Setup *setup) {
        wakeup_free(setup->wakeup);
        for (size_t i = 0; i < setup->n_apps; i++)
                app_free(setup->apps[i]);
        launch_free(setup->launch);
        root_update_free(setup->root_update);
        identify_free(setup->identify);
        depot_free(setup->depot);
        aws_context_free(setup->aws);
        identity_deinit(&setup->identity);
        trust_root_free(setup->root);
        close_fd(setup->state_fd);
        close_fd(setup->lock_fd);
        config_free(setup->config);
        *setup = (Setup){ .state_fd = -1, .lock_fd = -1 };
}

/* It has no depot, and is up for what root deploys by hand. */
static bool is_local(const Setup *setup) {
        return setup->config && !config_is_configured(setup->config) && setup->identity.instance;
}

static bool is_deploying(const Agent *agent) {
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
        for (size_t i = 0; i < setup->n_apps; i++)
                (void) buffer_printf(&text, "%s%s: %s", text.size > 0 ? "; " : "", app_name(setup->apps[i]),
                                     app_reason(setup->apps[i]));
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

static void update_launch(Agent *agent) {
        const Setup *setup = &agent->setup;
        AppReadiness required[CONFIG_APPS_MAX];
        const char *reason = NULL;
        size_t n = 0;

        if (!setup->launch)
                return;
        for (size_t i = 0; i < setup->n_apps; i++) {
                if (!app_is_required(setup->apps[i]))
                        continue;
                required[n] = app_readiness(setup->apps[i]);
                if (required[n++] == APP_FAILED)
                        reason = app_reason(setup->apps[i]);
        }
        /* Not before every app of the configuration is there: none missing is not none required. */
        if (setup->n_apps == setup->config->n_apps)
                launch_update(setup->launch, required, n, is_deploying(agent), reason);
}

static void tell_progress(Agent *agent, App *app) {
        const Deployment *deployment = app_deployment(app);
        _cleanup_free_ char *text = NULL;
        json_auto_t *json = NULL;

        if (!deployment || app_status(app, &json) < 0)
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
        update_launch(agent);
        if (agent->setup.wakeup)
                wakeup_looked(agent->setup.wakeup);
        if (agent->reload && !is_deploying(agent))
                build_after(agent, 0);
}

static void on_news(void *userdata) {
        Agent *agent = userdata;

        bus_service_changed(agent->bus);
}

static int start_app(Agent *agent, const AppConfig *config, Error *error) {
        Setup *setup = &agent->setup;
        const AppContext context = {
                .event = agent->event,
                .clock = &clock_system,
                .config = setup->config,
                .identity = &setup->identity,
                .depot = setup->depot,
                .root = setup->root,
                .manager = agent->manager,
                .boot_id = agent->boot_id,
        };
        int r;

        r = app_new(&context, config, on_app, agent, &setup->apps[setup->n_apps], error);
        if (r < 0) {
                error_prefix(error, "app %s", config->name);
                return r;
        }
        setup->n_apps++;
        return 0;
}

static int start_apps(Agent *agent, Error *error) {
        const Config *config = agent->setup.config;
        int r = 0;

        for (size_t i = 0; i < config->n_apps && r >= 0; i++)
                r = start_app(agent, &config->apps[i], error);
        return r;
}

static int start_launch(Agent *agent, Error *error) {
        Setup *setup = &agent->setup;
        const LaunchContext context = {
                .event = agent->event,
                .config = setup->config,
                .identity = &setup->identity,
                .aws = setup->aws,
                .state_fd = setup->state_fd,
                .boot_id = agent->boot_id,
        };

        return launch_new(&context, on_news, agent, &setup->launch, error);
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
                .root_update = setup->root_update,
                .apps = setup->apps,
                .n_apps = setup->n_apps,
        };

        return setup->config->queue ? wakeup_new(&context, on_news, agent, &setup->wakeup, error) : 0;
}

static int start(Agent *agent, Error *error) {
        Setup *setup = &agent->setup;
        const DepotOptions options = { .event = agent->event, .aws = setup->aws };
        int r;

        r = depot_open(setup->config->depot, &options, &setup->depot, error);
        if (r >= 0)
                r = start_root_update(agent, error);
        if (r >= 0)
                r = start_launch(agent, error);
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
        tell_manager(agent);
        bus_service_changed(agent->bus);
        return 0;
}

static void on_identified(Identify *identify, int result, const Error *error, void *userdata) {
        Agent *agent = userdata;
        Error problem = {};

        if (result < 0) {
                problem = *error;
        } else {
                agent->setup.identity = identify_take(identify);
                result = start(agent, &problem);
        }
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

        if (is_deploying(agent)) /* one that was begun meanwhile; on_app() comes back to it */
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
        if (!is_deploying(agent))
                build_after(agent, usec);
}

void agent_reload(Agent *agent) {
        reload_after(agent, 0);
}

/* While it waits for a configuration, one that is written is taken up; a running agent's changes with a reload. */
static int on_inotify(_unused_ sd_event_source *source, int fd, _unused_ uint32_t events, void *userdata) {
        Agent *agent = userdata;
        char data[4096];

        while (read(fd, data, sizeof(data)) > 0)
                ;
        if (!agent->setup.depot && !agent->setup.identify)
                reload_after(agent, CONFIG_SETTLE);
        return 0;
}

static void watch_folder(Agent *agent, const char *path) {
        if (inotify_add_watch(agent->inotify_fd, path, IN_CLOSE_WRITE | IN_MOVED_TO | IN_DELETE | IN_CREATE) <
            0)
                log_debug("cannot watch %s: %s", path, strerror(errno));
}

static int watch_config(Agent *agent, Error *error) {
        _cleanup_free_ char *drop_ins = NULL, *folder = strdup(agent->config_path);
        char *slash = folder ? strrchr(folder, '/') : NULL;
        int r;

        if (!folder || asprintf(&drop_ins, "%s.d", agent->config_path) < 0) {
                drop_ins = NULL;
                return error_oom(error);
        }
        if (slash && slash > folder)
                *slash = '\0';
        agent->inotify_fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
        if (agent->inotify_fd < 0)
                return error_set_errno(error, -errno, "cannot watch for changes of the configuration");
        watch_folder(agent, folder);
        watch_folder(agent, drop_ins);
        r = sd_event_add_io(agent->event, &agent->inotify, agent->inotify_fd, EPOLLIN, on_inotify, agent);
        return r < 0 ? error_set_errno(error, r, "cannot use the event loop") : 0;
}

static App *find_app(const Agent *agent, const char *name) {
        for (size_t i = 0; i < agent->setup.n_apps; i++)
                if (strcmp(app_name(agent->setup.apps[i]), name) == 0)
                        return agent->setup.apps[i];
        return NULL;
}

static const char *state_of(const Agent *agent) {
        const Setup *setup = &agent->setup;
        bool failed = false;

        if (is_local(setup) && setup->n_apps == 0)
                return "unconfigured";
        if (setup->n_apps == 0)
                return "waiting";
        if (is_deploying(agent))
                return "deploying";
        for (size_t i = 0; i < setup->n_apps; i++) {
                AppReadiness readiness = app_readiness(setup->apps[i]);

                if (app_is_required(setup->apps[i]) && readiness == APP_ON_ITS_WAY)
                        return "waiting";
                failed |= app_is_required(setup->apps[i]) && readiness == APP_FAILED;
        }
        return failed ? "failed" : "ready";
}

static int apps_status(const Agent *agent, json_t **ret) {
        json_auto_t *apps = json_array();

        for (size_t i = 0; i < agent->setup.n_apps; i++) {
                json_t *status;
                int r = app_status(agent->setup.apps[i], &status);

                if (r < 0)
                        return r;
                if (json_array_append_new(apps, status) < 0)
                        return -ENOMEM;
        }
        *ret = TAKE_PTR(apps);
        return *ret ? 0 : -ENOMEM;
}

static json_t *launch_status(const Setup *setup) {
        LaunchState state = setup->launch ? launch_state(setup->launch) : LAUNCH_NONE;

        return json_pack("{s:s?, s:s, s:s}", "hook", setup->config ? setup->config->launch_hook : NULL,
                         "state", launch_state_to_string(state), "reason",
                         setup->launch ? launch_reason(setup->launch) : "");
}

/* NULL in JSON where there is no queue. */
static json_t *wakeup_status_or_null(const Setup *setup) {
        json_t *status;

        return setup->wakeup && wakeup_status(setup->wakeup, &status) >= 0 ? status : json_null();
}

static int on_status(void *userdata, char **ret_json, Error *error) {
        const Agent *agent = userdata;
        const Setup *setup = &agent->setup;
        json_auto_t *json = NULL;
        json_t *apps;

        if (apps_status(agent, &apps) < 0)
                return error_oom(error);
        json = json_pack("{s:s, s:s?, s:s?, s:s?, s:s, s:s, s:o, s:o, s:o, s:o}", "agent_version",
                         MUSTER_VERSION, "instance", setup->identity.instance, "group", setup->identity.group,
                         "depot", setup->config ? setup->config->depot : NULL, "state", state_of(agent),
                         "reason", agent->waiting, "apps", apps, "launch", launch_status(setup), "queue",
                         wakeup_status_or_null(setup), "undelivered",
                         undelivered_to_json(setup->launch, setup->apps, setup->n_apps));
        *ret_json = json ? json_dumps(json, JSON_COMPACT) : NULL;
        return *ret_json ? 0 : error_oom(error);
}

static int not_ready(const Agent *agent, Error *error) {
        return error_set(error, -EAGAIN, "musterd is not ready: %s", agent->waiting);
}

static int no_such_app(const Agent *agent, const char *name, Error *error) {
        if (is_local(&agent->setup))
                return error_set(error, -ENOENT,
                                 "this instance has no app '%s': none was deployed by hand, and %s", name,
                                 agent->waiting);
        if (agent->waiting[0])
                return not_ready(agent, error);
        return error_set(error, -ENOENT,
                         "this instance has no app '%s': its configuration has no section [app %s]", name,
                         name);
}

static int add_history(json_t *all, const App *app, size_t limit, Error *error) {
        json_auto_t *history = NULL;
        int r;

        r = app_history(app, limit, &history, error);
        if (r < 0)
                return r;
        return json_array_extend(all, history) < 0 ? error_oom(error) : 0;
}

/* What hooks printed may be anything: it is root's, as the files are that it comes from. */
static void hide_output(json_t *deployments) {
        json_t *deployment, *step;
        size_t i, k;

        json_array_foreach(deployments, i, deployment)
                json_array_foreach(json_object_get(deployment, "steps"), k, step)
                        (void) json_object_del(step, "output_tail");
}

/* APP "" is all of them. */
static int on_history(void *userdata, const char *name, size_t limit, bool with_output, char **ret_json,
                      Error *error) {
        const Agent *agent = userdata;
        json_auto_t *json = NULL;
        json_t *all = json_array();
        int r = 0;

        json = json_pack("{s:o}", "deployments", all);
        if (!json)
                return error_oom(error);
        if (*name && !find_app(agent, name))
                return no_such_app(agent, name, error);
        for (size_t i = 0; i < agent->setup.n_apps && r >= 0; i++)
                if (!*name || strcmp(app_name(agent->setup.apps[i]), name) == 0)
                        r = add_history(all, agent->setup.apps[i], limit, error);
        if (r < 0)
                return r;
        if (!with_output)
                hide_output(all);
        *ret_json = json_dumps(json, JSON_COMPACT);
        return *ret_json ? 0 : error_oom(error);
}

static int check_archive(int fd, Error *error) {
        int flags = fcntl(fd, F_GETFL);
        struct stat st;

        if (flags < 0 || fstat(fd, &st) < 0)
                return error_set_errno(error, -errno, "cannot look at the archive");
        if (!S_ISREG(st.st_mode) || (flags & O_ACCMODE) == O_WRONLY || flags & O_PATH)
                return error_set_fault(error, -EINVAL, FAULT_INPUT,
                                       "the archive: expected the descriptor of a file that can be read");
        return 0;
}

/* An app of a machine without a depot that is deployed for the first time. */
static int add_local_app(Agent *agent, const char *name, App **ret, Error *error) {
        AppConfig *config;
        int r;

        r = config_add_app(agent->setup.config, name, &config, error);
        if (r < 0)
                return r;
        config->required = false;
        r = start_app(agent, config, error);
        if (r >= 0)
                *ret = agent->setup.apps[agent->setup.n_apps - 1];
        return r;
}

static int on_deploy_local(void *userdata, const char *release_json, int archive_fd, char **ret_id,
                           Error *error) {
        Agent *agent = userdata;
        _cleanup_release_ Release *release = NULL;
        App *app;
        int r;

        if (release_parse(release_json, strlen(release_json), &release, error) < 0)
                return -EINVAL;
        app = find_app(agent, release->app);
        if (!app && is_local(&agent->setup) && add_local_app(agent, release->app, &app, error) < 0)
                return -EAGAIN;
        if (!app)
                return no_such_app(agent, release->app, error);
        r = check_archive(archive_fd, error);
        return r < 0 ? r : app_deploy_local(app, release_json, archive_fd, ret_id, error);
}

static int on_poll(void *userdata, Error *error) {
        const Agent *agent = userdata;

        if (!agent->setup.depot)
                return not_ready(agent, error);
        for (size_t i = 0; i < agent->setup.n_apps; i++)
                (void) app_poll(agent->setup.apps[i]);
        return 0;
}

static int on_check_installed(void *userdata, Error *error) {
        const Agent *agent = userdata;

        if (agent->setup.n_apps == 0)
                return error_set(error, -EAGAIN, "musterd is not ready: %s", agent->waiting);
        for (size_t i = 0; i < agent->setup.n_apps; i++)
                app_check_installed(agent->setup.apps[i]);
        return 0;
}

static int on_pin_local(void *userdata, const char *name, const char *version, const char *reason,
                        bool *ret_changed, char **ret_id, Error *error) {
        const Agent *agent = userdata;
        App *app = find_app(agent, name);

        return app ? app_pin(app, version, reason, ret_changed, ret_id, error)
                   : no_such_app(agent, name, error);
}

static int on_unpin_local(void *userdata, const char *name, bool *ret_changed, Error *error) {
        const Agent *agent = userdata;
        App *app = find_app(agent, name);

        return app ? app_unpin(app, ret_changed, error) : no_such_app(agent, name, error);
}

static const BusHandlers bus_handlers = {
        .status = on_status,
        .history = on_history,
        .deploy_local = on_deploy_local,
        .poll = on_poll,
        .check_installed = on_check_installed,
        .pin_local = on_pin_local,
        .unpin_local = on_unpin_local,
};

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
                r = bus_service_new(agent->event, &bus_handlers, agent, &agent->bus, error);
        return r < 0 ? r : watch_config(agent, error);
}

int agent_new(sd_event *event, const char *config_path, Agent **ret, Error *error) {
        _cleanup_(agent_freep) Agent *agent = NULL;
        int r;

        agent = malloc(sizeof(*agent));
        if (!agent)
                return error_oom(error);
        *agent = (Agent){
                .event = sd_event_ref(event),
                .inotify_fd = -1,
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
        sd_event_source_unref(agent->inotify);
        close_fd(agent->inotify_fd);
        free(agent->config_path);
        sd_event_unref(agent->event);
        free(agent);
        return NULL;
}
