#include <jansson.h>
#include <string.h>
#include <time.h>

#include "agent/cli/bus_client.h"
#include "agent/cli/deploy_command.h"
#include "agent/cli/deploy_watch.h"
#include "agent/cli/output.h"
#include "agent/cli/release_source.h"
#include "agent/cli/shared_options.h"

typedef struct DeployValues {
        bool local;
        const char *app;
        const char *version;
        const char *appspec;
        bool wait;
} DeployValues;

/* "local-20261121090000" */
static void make_version(uint64_t now, char *ret, size_t size) {
        time_t seconds = (time_t) (now / USEC_PER_SEC);
        struct tm tm;

        if (!gmtime_r(&seconds, &tm) || strftime(ret, size, "local-%Y%m%d%H%M%S", &tm) == 0)
                snprintf(ret, size, "local");
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

static int follow(DeployWatch *watch, const char *id, Error *error) {
        json_auto_t *deployment = NULL;
        int r;

        r = deploy_watch_follow(watch, id, &deployment, error);
        if (r < 0 || !watch->cli->json)
                return r < 0 ? r : deploy_watch_tell(watch, deployment, error);
        if (output_json(watch->cli, json_incref(deployment), error) < 0)
                return -EIO;
        return deploy_watch_is_good(deployment) ? 0 : EXIT_CODE_FAILED;
}

static int deploy(Cli *cli, const DeployValues *values, const char *version, const char *path, Error *error) {
        const ReleaseRequest request = {
                .app = values->app, .version = version, .path = path, .appspec = values->appspec
        };
        _cleanup_release_source_ ReleaseSource source = {};
        _cleanup_free_ char *status = NULL, *id = NULL;
        _cleanup_bus_ sd_bus *bus = NULL;
        DeployWatch watch;
        int r;

        r = bus_client_open(&bus, error);
        if (r >= 0)
                r = bus_client_status(bus, &status, error); /* before anything is packed */
        if (r >= 0)
                r = release_source_open(&request, cli, &source, error);
        if (r >= 0)
                r = release_source_seal(&source, cli, error);
        if (r >= 0)
                r = deploy_watch_open(&watch, cli, bus, values->app, error);
        if (r >= 0)
                r = hand_over(bus, &source, &id, error);
        if (r < 0)
                return r;
        return values->wait ? follow(&watch, id, error) : tell_started(cli, values, version, id, error);
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
          .help = "the app's description, in place of appspec.yml: a file of the bundle, or else one here" },
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
