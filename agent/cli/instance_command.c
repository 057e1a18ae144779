#include "agent/cli/instance_command.h"
#include "agent/cli/bus_client.h"
#include "agent/cli/view.h"

#define HISTORY_LIMIT "20"

static int print_json(const Cli *cli, const char *json) {
        fprintf(cli->out, "%s\n", json);
        return 0;
}

static int run_status(Cli *cli, _unused_ void *values, _unused_ char **arguments, Error *error) {
        _cleanup_bus_ sd_bus *bus = NULL;
        _cleanup_free_ char *json = NULL;
        int r;

        r = bus_client_open(&bus, error);
        if (r >= 0)
                r = bus_client_status(bus, &json, error);
        if (r < 0)
                return r;
        if (cli->json)
                return print_json(cli, json);
        return view_status(json, clock_realtime(cli->clock), cli->out, &cli->out_style, error);
}

const Command command_status = {
        .name = "status",
        .heading = "On an instance",
        .summary = "say what this instance runs and what failed last",
        .examples =
                (const Example[]){
                        { "What runs here?", "muster status" },
                        { "The version of one app, for a script.",
                          "muster status --json | jq -r '.apps[] | select(.app == \"api\").version'" },
                        {},
                },
        .run = run_status,
};

typedef struct HistoryValues {
        OptionNumber limit;
        bool steps;
} HistoryValues;

static const Option history_options[] = {
        { .name = "limit",
          .letter = 'n',
          .type = OPTION_NUMBER,
          OPTION_INTO(HistoryValues, limit),
          .value = "N",
          .help = "show the newest N only",
          .initial = HISTORY_LIMIT },
        { .name = "steps",
          .type = OPTION_FLAG,
          OPTION_INTO(HistoryValues, steps),
          .help = "show every step, how long it took and what a hook that failed printed last" },
        OPTION_END,
};

static int run_history(Cli *cli, void *values, char **arguments, Error *error) {
        const HistoryValues *options = values;
        const char *app = arguments ? arguments[0] : "";
        _cleanup_bus_ sd_bus *bus = NULL;
        _cleanup_free_ char *json = NULL;
        int r;

        r = bus_client_open(&bus, error);
        if (r >= 0)
                r = bus_client_history(bus, app, (uint32_t) MIN(options->limit.value, (uint64_t) UINT32_MAX),
                                       &json, error);
        if (r < 0)
                return r;
        if (cli->json)
                return print_json(cli, json);
        return view_history(json, options->steps, clock_realtime(cli->clock), cli->out, &cli->out_style,
                            error);
}

const Command command_history = {
        .name = "history",
        .summary = "list the deployments of this instance, the newest first",
        .arguments = "[APP]",
        .arguments_max = 1,
        .options = history_options,
        .values_size = sizeof(HistoryValues),
        .examples =
                (const Example[]){
                        { "The last deployments of every app.", "muster history" },
                        { "Why did the last one of api fail?", "muster history api --limit 1 --steps" },
                        {},
                },
        .run = run_history,
};

static int run_poll(Cli *cli, _unused_ void *values, _unused_ char **arguments, Error *error) {
        _cleanup_bus_ sd_bus *bus = NULL;
        int r;

        r = bus_client_open(&bus, error);
        if (r >= 0)
                r = bus_client_poll(bus, error);
        if (r < 0)
                return r;
        if (cli->json)
                return print_json(cli, "{}");
        cli_say(cli, "musterd looks at the depot now");
        return 0;
}

const Command command_poll = {
        .name = "poll",
        .summary = "have musterd look at the depot now",
        .examples = (const Example[]){ { "Do not wait for the interval.", "sudo muster poll" }, {} },
        .run = run_poll,
};
