#include <string.h>

#include "agent/adopt.h"
#include "agent/app_life.h"
#include "agent/app_parts.h"
#include "agent/base/strv.h"
#include "agent/instance_pin.h"

/* Who asks as soon as musterd runs, or is the first to name this app, need not ask again. */
static void open_now(App *app) {
        (void) sd_event_source_set_enabled(app->retry, SD_EVENT_OFF);
        app_open(app);
}

/* Whether root may deploy by hand now. */
static int check_local(App *app, Error *error) {
        if (!app_is_open(app))
                open_now(app);
        if (!app_is_open(app))
                return app_not_open(app, error);
        if (app->engine)
                return error_set(error, -EBUSY, "deployment %s of %s is running", app->record.deployment.id,
                                 app->config->name);
        if (app_leaves(app))
                return error_set(error, -EBUSY, "nothing is deployed here any more: %s", app->life.reason);
        if (app->record.pin.release.version)
                return error_set(error, -EBUSY,
                                 "%s is pinned to %s on this instance: muster unpin --local %s first",
                                 app->config->name, app->record.pin.release.version, app->config->name);
        return 0;
}

/* The app's name and version come from the release itself. */
static int start_local(App *app, DeploymentKind kind, const Release *release, const char *release_json,
                       int archive_fd, char **ret_id, Error *error) {
        EngineContext context = app_engine_context(app);
        EngineOrder order = {
                .kind = kind,
                .release.version = release->version,
                .environment = app->environment,
                .env_sha256 = app->env_sha256,
                .release_json = release_json,
                .archive_fd = archive_fd,
        };
        int r;

        memcpy(order.release.sha256, release->sha256, sizeof(order.release.sha256));
        app_make_way(app);
        r = engine_start(&context, &order, app_on_deployed, app_on_progress, app, &app->engine, error);
        if (r < 0)
                return r;
        if (string_set(ret_id, app->record.deployment.id) < 0)
                return error_oom(error);
        app_tell(app);
        return 0;
}

int app_deploy_local(App *app, const char *release_json, int archive_fd, char **ret_id, Error *error) {
        _cleanup_release_ Release *release = NULL;
        int r;

        r = check_local(app, error);
        if (r < 0)
                return r;
        if (release_parse(release_json, strlen(release_json), &release, error) < 0)
                return -EINVAL;
        return start_local(app, KIND_DEPLOY, release, release_json, archive_fd, ret_id, error);
}

int app_adopt(App *app, const char *release_json, int archive_fd, int paths_fd, char **ret_id, Error *error) {
        const ReleaseRef *good = &app->record.good;
        _cleanup_release_ Release *release = NULL;
        int r;

        r = check_local(app, error);
        if (r < 0)
                return r;
        if (good->version)
                return error_set(error, -EEXIST, "%s has release %s here already: nothing is taken over",
                                 app->config->name, good->version);
        if (release_parse(release_json, strlen(release_json), &release, error) < 0)
                return -EINVAL;
        r = adopt_keep_paths(app->store, paths_fd, error);
        return r < 0 ? r : start_local(app, KIND_ADOPT, release, release_json, archive_fd, ret_id, error);
}

int app_pin(App *app, const char *version, const char *reason, bool *ret_changed, char **ret_id,
            Error *error) {
        const InstancePinOrder order = { version, reason, clock_realtime(app->context.clock) };
        const Deployment *deployment = &app->record.deployment;
        int r;

        if (!app_is_open(app))
                return app_not_open(app, error);
        r = instance_pin_set(app->store, &app->record, &order, ret_changed, error);
        if (r < 0)
                return r;
        app_go_for_another(app, "this instance was pinned to another release");
        app_evaluate(app);
        if (app->engine && deployment_is_running(deployment) &&
            release_ref_equal(&deployment->to, &app->record.pin.release))
                return string_set(ret_id, deployment->id) < 0 ? error_oom(error) : 0;
        return 0;
}

int app_unpin(App *app, bool *ret_changed, Error *error) {
        int r;

        if (!app_is_open(app))
                return app_not_open(app, error);
        r = instance_pin_clear(app->store, &app->record, ret_changed, error);
        if (r >= 0)
                app_on_target(app->watch, app);
        return r;
}
