#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/agent_life.h"
#include "agent/agent_parts.h"
#include "agent/public_view.h"
#include "agent/undelivered.h"
#include "artifacts/release.h"

/* It has no depot, and is up for what root deploys by hand. */
static bool is_local(const Setup *setup) {
        return setup->config && !config_is_configured(setup->config) && setup->identity.instance;
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
        if (agent_leaves(setup))
                return "leaving";
        if (agent_is_deploying(agent))
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

/* NULL in JSON where there is no queue. */
static json_t *wakeup_status_or_null(const Setup *setup) {
        json_t *status;

        return setup->wakeup && wakeup_status(setup->wakeup, &status) >= 0 ? status : json_null();
}

/* As text, and without what hooks printed unless root asks. */
static int answer(json_t *json, bool with_output, char **ret_json, Error *error) {
        if (!json || (!with_output && public_view_make(json) < 0))
                return error_oom(error);
        *ret_json = json_dumps(json, JSON_COMPACT);
        return *ret_json ? 0 : error_oom(error);
}

static int on_status(void *userdata, bool with_output, char **ret_json, Error *error) {
        const Agent *agent = userdata;
        const Setup *setup = &agent->setup;
        json_auto_t *json = NULL;
        json_t *apps;

        if (apps_status(agent, &apps) < 0)
                return error_oom(error);
        json = json_pack("{s:s, s:s?, s:s?, s:s?, s:s, s:s, s:o, s:o, s:o, s:o, s:o}", "agent_version",
                         MUSTER_VERSION, "instance", setup->identity.instance, "group", setup->identity.group,
                         "depot", setup->config ? setup->config->depot : NULL, "state", state_of(agent),
                         "reason", agent->waiting, "apps", apps, "launch", agent_launch_status(setup), "life",
                         agent_life_status(setup), "queue", wakeup_status_or_null(setup), "undelivered",
                         undelivered_to_json(setup->launch, setup->leave, setup->apps, setup->n_apps));
        return answer(json, with_output, ret_json, error);
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
        return r < 0 ? r : answer(json, with_output, ret_json, error);
}

static int check_file(int fd, const char *what, Error *error) {
        int flags = fcntl(fd, F_GETFL);
        struct stat st;

        if (flags < 0 || fstat(fd, &st) < 0)
                return error_set_errno(error, -errno, "cannot look at %s", what);
        if (!S_ISREG(st.st_mode) || (flags & O_ACCMODE) == O_WRONLY || flags & O_PATH)
                return error_set_fault(error, -EINVAL, FAULT_INPUT,
                                       "%s: expected the descriptor of a file that can be read", what);
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
        r = agent_start_app(agent, config, error);
        if (r >= 0)
                *ret = agent->setup.apps[agent->setup.n_apps - 1];
        return r;
}

/* The app that a release which root hands over is of. */
static int find_local_app(Agent *agent, const char *release_json, App **ret, Error *error) {
        _cleanup_release_ Release *release = NULL;

        if (release_parse(release_json, strlen(release_json), &release, error) < 0)
                return -EINVAL;
        *ret = find_app(agent, release->app);
        if (!*ret && is_local(&agent->setup) && add_local_app(agent, release->app, ret, error) < 0)
                return -EAGAIN;
        return *ret ? 0 : no_such_app(agent, release->app, error);
}

/* The files first: what cannot be deployed begins no app. */
static int on_deploy_local(void *userdata, const char *release_json, int archive_fd, char **ret_id,
                           Error *error) {
        App *app;
        int r;

        r = check_file(archive_fd, "the archive", error);
        if (r >= 0)
                r = find_local_app(userdata, release_json, &app, error);
        return r < 0 ? r : app_deploy_local(app, release_json, archive_fd, ret_id, error);
}

static int on_adopt(void *userdata, const char *release_json, int archive_fd, int paths_fd, char **ret_id,
                    Error *error) {
        App *app;
        int r;

        r = check_file(archive_fd, "the archive", error);
        if (r >= 0)
                r = check_file(paths_fd, "the list of what is installed", error);
        if (r >= 0)
                r = find_local_app(userdata, release_json, &app, error);
        return r < 0 ? r : app_adopt(app, release_json, archive_fd, paths_fd, ret_id, error);
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

const BusHandlers agent_bus_handlers = {
        .status = on_status,
        .history = on_history,
        .deploy_local = on_deploy_local,
        .adopt = on_adopt,
        .poll = on_poll,
        .check_installed = on_check_installed,
        .pin_local = on_pin_local,
        .unpin_local = on_unpin_local,
};
