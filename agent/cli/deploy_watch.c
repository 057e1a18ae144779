#include <string.h>

#include "agent/base/strv.h"
#include "agent/base/utf8.h"
#include "agent/cli/bus_client.h"
#include "agent/cli/deploy_watch.h"
#include "agent/cli/view.h"

#define LOOK_INTERVAL (2 * USEC_PER_SEC) /* how often the outcome is asked for where no signal comes */
#define ABSENCE_MAX                                                                                          \
        (60 * USEC_PER_SEC) /* how long musterd may be away: it goes on where it was when it is back */
#define HISTORY_LIMIT 10U   /* deployments among which ours is looked for */

static void wipe_step(DeployWatch *watch) {
        if (watch->is_drawn)
                fputs("\r\033[K", watch->cli->err);
        watch->is_drawn = false;
}

/* One line that changes on a terminal, a line for each step elsewhere. */
static void show_step(DeployWatch *watch, const char *step, int percent) {
        const Cli *cli = watch->cli;
        char text[DEPLOY_WATCH_TEXT_MAX];

        if (cli->quiet)
                return;
        if (cli->err_is_terminal && percent >= 0)
                snprintf(text, sizeof(text), "%s %d%%", step, percent);
        else
                snprintf(text, sizeof(text), "%s", step);
        utf8_make_printable(text, strlen(text));
        if (strcmp(text, watch->step) == 0)
                return;
        memcpy(watch->step, text, sizeof(text));
        fprintf(cli->err, cli->err_is_terminal ? "\r%s: %s\033[K" : "%s: %s\n", watch->app, text);
        watch->is_drawn = cli->err_is_terminal;
        fflush(cli->err);
}

/* The app's part of the status comes with the signal. */
static int on_progress(sd_bus_message *message, void *userdata, _unused_ sd_bus_error *bus_error) {
        DeployWatch *watch = userdata;
        const char *app, *id, *text;
        const json_t *deployment, *percent;
        json_auto_t *status = NULL;

        watch->stirred = true;
        if (sd_bus_message_read(message, "sss", &app, &id, &text) < 0 || !watch->id ||
            strcmp(id, watch->id) != 0)
                return 0;
        status = json_loads(text, 0, NULL);
        deployment = json_object_get(status, "deployment");
        percent = json_object_get(deployment, "percent");
        if (json_is_object(deployment))
                show_step(watch, view_step_name(deployment),
                          json_is_integer(percent) ? (int) json_integer_value(percent) : -1);
        return 0;
}

static int on_changed(_unused_ sd_bus_message *message, void *userdata, _unused_ sd_bus_error *bus_error) {
        DeployWatch *watch = userdata;

        watch->stirred = true;
        return 0;
}

/* RET is NULL while the deployment runs, else its entry in the history. */
static int look(const DeployWatch *watch, json_t **ret, Error *error) {
        _cleanup_free_ char *text = NULL;
        json_auto_t *history = NULL;
        const char *outcome;
        json_t *deployment;
        size_t i;
        int r;

        *ret = NULL;
        r = bus_client_history(watch->bus, watch->app, HISTORY_LIMIT, &text, error);
        if (r < 0)
                return r;
        history = json_loads(text, 0, NULL);
        json_array_foreach(json_object_get(history, "deployments"), i, deployment) {
                outcome = json_string_value(json_object_get(deployment, "outcome"));
                if (string_equal(json_string_value(json_object_get(deployment, "id")), watch->id) &&
                    outcome && strcmp(outcome, "running") != 0)
                        *ret = json_incref(deployment);
        }
        return 0;
}

/* Waits for something to happen, at most LOOK_INTERVAL. */
static int pause_for_signals(DeployWatch *watch, Error *error) {
        int r;

        watch->stirred = false;
        do {
                r = sd_bus_process(watch->bus, NULL);
                if (r == 0)
                        r = sd_bus_wait(watch->bus, LOOK_INTERVAL);
                if (r < 0)
                        return error_set_errno(error, r, "cannot follow the deployment");
        } while (r > 0 && !watch->stirred);
        return 0;
}

static bool is_absent(int r) {
        return r == -ECONNREFUSED || r == -ETIMEDOUT || r == -EAGAIN;
}

static int wait_for_end(DeployWatch *watch, json_t **ret, Error *error) {
        uint64_t seen = clock_boottime(watch->cli->clock);

        for (;;) {
                uint64_t now;
                int r;

                r = look(watch, ret, error);
                now = clock_boottime(watch->cli->clock);
                if (r >= 0 && *ret)
                        return 0;
                if (r < 0 && (!is_absent(r) || now - seen > ABSENCE_MAX))
                        return r;
                if (r >= 0)
                        seen = now;
                r = pause_for_signals(watch, error);
                if (r < 0)
                        return r;
        }
}

int deploy_watch_open(DeployWatch *watch, const Cli *cli, sd_bus *bus, const char *app, Error *error) {
        int r;

        *watch = (DeployWatch){ .cli = cli, .bus = bus, .app = app };
        r = bus_client_watch(bus, "Progress", on_progress, watch, error);
        return r < 0 ? r : bus_client_watch(bus, "Changed", on_changed, watch, error);
}

int deploy_watch_follow(DeployWatch *watch, const char *id, json_t **ret, Error *error) {
        int r;

        watch->id = id;
        r = wait_for_end(watch, ret, error);
        wipe_step(watch);
        return r;
}

static const char *outcome_of(const json_t *deployment) {
        return json_string_value(json_object_get(deployment, "outcome"));
}

bool deploy_watch_is_good(const json_t *deployment) {
        return strcmp(outcome_of(deployment), "succeeded") == 0;
}

int deploy_watch_tell(const DeployWatch *watch, json_t *deployment, Error *error) {
        const Cli *cli = watch->cli;
        json_auto_t *history = NULL;
        _cleanup_free_ char *text = NULL;

        if (deploy_watch_is_good(deployment)) {
                cli_say(cli, "%s: %s serves", watch->app,
                        json_string_value(json_object_get(deployment, "version")));
                return 0;
        }
        history = json_pack("{s:[O]}", "deployments", deployment);
        text = history ? json_dumps(history, 0) : NULL;
        if (!text)
                return error_oom(error);
        if (!cli->quiet)
                (void) view_history(text, true, clock_realtime(cli->clock), cli->err, &cli->err_style, NULL);
        return error_set_fault(
                error, -EREMOTEIO, FAULT_RELEASE, "%s: deployment %s: %s", watch->app, watch->id,
                json_string_value(json_object_get(deployment, "reason")) ?: outcome_of(deployment));
}
