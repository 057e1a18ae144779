#include <jansson.h>
#include <string.h>
#include <time.h>

#include "agent/base/utf8.h"
#include "agent/cli/bus_client.h"
#include "agent/cli/deploy_command.h"
#include "agent/cli/output.h"
#include "agent/cli/release_source.h"
#include "agent/cli/shared_options.h"
#include "agent/cli/view.h"

#define LOOK_INTERVAL (2 * USEC_PER_SEC) /* how often the outcome is asked for where no signal comes */
#define ABSENCE_MAX                                                                                          \
        (60 * USEC_PER_SEC) /* how long musterd may be away: it goes on where it was when it is back */
#define HISTORY_LIMIT 10U   /* deployments among which ours is looked for */
#define STEP_TEXT_MAX 128U

typedef struct DeployValues {
        bool local;
        const char *app;
        const char *version;
        const char *appspec;
        bool wait;
} DeployValues;

/* Waiting for the end of a deployment */

typedef struct Watch {
        const Cli *cli;
        sd_bus *bus;
        const char *app;
        const char *id; /* NULL until musterd has said it */
        bool stirred;   /* a signal came: the outcome may be known */
        bool is_drawn;
        char step[STEP_TEXT_MAX]; /* what was shown last */
} Watch;

static void wipe_step(Watch *watch) {
        if (watch->is_drawn)
                fputs("\r\033[K", watch->cli->err);
        watch->is_drawn = false;
}

/* One line that changes on a terminal, a line for each step elsewhere. */
static void show_step(Watch *watch, const char *step, int percent) {
        const Cli *cli = watch->cli;
        char text[STEP_TEXT_MAX];

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
        Watch *watch = userdata;
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
        Watch *watch = userdata;

        watch->stirred = true;
        return 0;
}

/* RET is NULL while the deployment runs, else its entry in the history. */
static int look(const Watch *watch, json_t **ret, Error *error) {
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
static int pause_for_signals(Watch *watch, Error *error) {
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

static int wait_for_end(Watch *watch, json_t **ret, Error *error) {
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

/* The outcome, for a person: what a failure printed is shown at once. */
static int tell_outcome(const Watch *watch, json_t *deployment, Error *error) {
        const Cli *cli = watch->cli;
        const char *outcome = json_string_value(json_object_get(deployment, "outcome"));
        bool good = strcmp(outcome, "succeeded") == 0;
        json_auto_t *history = NULL;
        _cleanup_free_ char *text = NULL;

        if (cli->json)
                return output_json(cli, json_incref(deployment), error) < 0 ? -EIO
                       : good                                               ? 0
                                                                            : EXIT_CODE_FAILED;
        if (good) {
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
        return error_set_fault(error, -EREMOTEIO, FAULT_RELEASE, "%s: deployment %s: %s", watch->app,
                               watch->id,
                               json_string_value(json_object_get(deployment, "reason")) ?: outcome);
}

static int follow(Watch *watch, Error *error) {
        json_auto_t *deployment = NULL;
        int r;

        r = wait_for_end(watch, &deployment, error);
        wipe_step(watch);
        return r < 0 ? r : tell_outcome(watch, deployment, error);
}

/* Starting it */

/* "local-20261121090000" */
static void make_version(uint64_t now, char *ret, size_t size) {
        time_t seconds = (time_t) (now / USEC_PER_SEC);
        struct tm tm;

        if (!gmtime_r(&seconds, &tm) || strftime(ret, size, "local-%Y%m%d%H%M%S", &tm) == 0)
                snprintf(ret, size, "local");
}

static int watch_signals(Watch *watch, Error *error) {
        int r;

        r = bus_client_watch(watch->bus, "Progress", on_progress, watch, error);
        return r < 0 ? r : bus_client_watch(watch->bus, "Changed", on_changed, watch, error);
}

static int hand_over(sd_bus *bus, const ReleaseSource *source, char **ret_id, Error *error) {
        _cleanup_free_ char *payload = NULL;
        size_t size;
        int r;

        r = release_to_json(source->release, &payload, &size, error);
        return r < 0 ? r : bus_client_deploy_local(bus, payload, source->bundles[0].archive, ret_id, error);
}

static int tell_started(const Cli *cli, const DeployValues *values, const char *version, const char *id,
                        Error *error) {
        if (cli->json)
                return output_json(
                        cli, json_pack("{s:s, s:s, s:s}", "id", id, "app", values->app, "version", version),
                        error);
        cli_say(cli, "%s: deployment %s of %s has begun; muster status says how it goes", values->app, id,
                version);
        return 0;
}

static int deploy(Cli *cli, const DeployValues *values, const char *version, const char *path, Error *error) {
        const ReleaseRequest request = {
                .app = values->app, .version = version, .path = path, .appspec = values->appspec
        };
        _cleanup_release_source_ ReleaseSource source = {};
        _cleanup_free_ char *status = NULL, *id = NULL;
        _cleanup_bus_ sd_bus *bus = NULL;
        Watch watch = { .cli = cli, .app = values->app };
        int r;

        r = bus_client_open(&bus, error);
        if (r >= 0)
                r = bus_client_status(bus, &status, error); /* before anything is packed */
        if (r >= 0)
                r = release_source_open(&request, cli, &source, error);
        if (r >= 0)
                r = release_source_seal(&source, cli, error);
        watch.bus = bus;
        if (r >= 0)
                r = watch_signals(&watch, error); /* before it begins */
        if (r >= 0)
                r = hand_over(bus, &source, &id, error);
        if (r < 0)
                return r;
        watch.id = id;
        return values->wait ? follow(&watch, error) : tell_started(cli, values, version, id, error);
}

static int run_deploy(Cli *cli, void *values, char **arguments, Error *error) {
        const DeployValues *given = values;
        char version[64];

        if (!given->local)
                return error_set_fault(
                        error, -EDESTADDRREQ, FAULT_INPUT,
                        "say --local to deploy on this instance only; a group follows muster target set");
        make_version(clock_realtime(cli->clock), version, sizeof(version));
        return deploy(cli, given, given->version ?: version, arguments[0], error);
}

static const Option options[] = {
        { .name = "local",
          .type = OPTION_FLAG,
          OPTION_INTO(DeployValues, local),
          .help = "on this instance, without depot, target and signature" },
        APP_OPTION(DeployValues, app),
        { .name = "version",
          .type = OPTION_VERSION,
          OPTION_INTO(DeployValues, version),
          .value = "VERSION",
          .help = "what it is called (otherwise local- and the time)" },
        { .name = "appspec",
          .type = OPTION_PATH,
          OPTION_INTO(DeployValues, appspec),
          .value = "FILE",
          .help = "the app's description, instead of the appspec.yml in the folder or archive" },
        { .name = "wait",
          .type = OPTION_SWITCH,
          OPTION_INTO(DeployValues, wait),
          .help = "follow it to its end (which is what happens unless --no-wait is said)",
          .initial = "yes" },
        OPTION_END,
};

const Command command_deploy = {
        .name = "deploy",
        .summary = "try a folder or an archive on this instance",
        .description =
                "The same engine, hooks, units, health checks and rollback as in every deployment, without AWS. A "
                "later target of the app's group replaces it.",
        .arguments = "DIR|ARCHIVE",
        .arguments_min = 1,
        .arguments_max = 1,
        .argument_kind = ARGUMENT_FILE,
        .options = options,
        .values_size = sizeof(DeployValues),
        .examples =
                (const Example[]){
                        { "Try the folder that you are working in.",
                          "sudo muster deploy --local . --app api" },
                        { "An archive, under a name of its own, without waiting.",
                          "sudo muster deploy --local api.zip --app api --version 1.5.0-try1 --no-wait" },
                        {},
                },
        .run = run_deploy,
};
