#include "agent/cli/why_command.h"
#include "agent/base/strv.h"
#include "agent/cli/bus_client.h"
#include "agent/cli/output.h"
#include "agent/cli/rollout_survey.h"
#include "agent/cli/rollout_why.h"
#include "agent/cli/shared_options.h"
#include "agent/cli/view.h"

static int tell(const Cli *cli, json_t *reasons, Error *error) {
        const json_t *reason;
        size_t i;

        if (cli->json)
                return output_json(cli, json_pack("{s:O}", "why", reasons), error);
        json_array_foreach(reasons, i, reason)
                fprintf(cli->out, "%s\n", json_string_value(json_object_get(reason, "why")) ?: "-");
        return 0;
}

static int add_reason(json_t *reasons, const char *what, const char *name, const char *why, Error *error) {
        return json_array_append_new(reasons, json_pack("{s:s, s:s}", what, name, "why", why)) < 0
                       ? error_oom(error)
                       : 0;
}

/* This instance: what musterd says of each app, or of the one that is asked for. */

static int collect_here(const json_t *apps, const char *wanted, json_t *reasons, Error *error) {
        const json_t *app;
        size_t i;
        int r = 0;

        json_array_foreach((json_t *) apps, i, app) {
                const char *name = json_string_value(json_object_get(app, "app")) ?: "-";
                _cleanup_free_ char *why = NULL;

                if (r < 0 || (wanted && !string_equal(name, wanted)))
                        continue;
                if (rollout_why_here(app, &why) < 0)
                        return error_oom(error);
                r = add_reason(reasons, "app", name, why, error);
        }
        if (r >= 0 && json_array_size(reasons) == 0)
                return error_set_fault(error, -ENOENT, FAULT_INPUT, "this instance has no app%s%s",
                                       wanted ? " " : "", wanted ?: "");
        return r;
}

static int why_here(const Cli *cli, const char *app, Error *error) {
        _cleanup_bus_ sd_bus *bus = NULL;
        _cleanup_free_ char *text = NULL;
        json_auto_t *status = NULL, *reasons = json_array();
        int r;

        r = bus_client_open(&bus, error);
        if (r >= 0)
                r = bus_client_status(bus, &text, error);
        if (r >= 0)
                r = view_parse(text, "musterd's status", &status, error);
        if (r >= 0)
                r = collect_here(json_object_get(status, "apps"), app, reasons, error);
        return r < 0 ? r : tell(cli, reasons, error);
}

/* Another one: what register, marks and its report say. */

static int why_there(const Cli *cli, const RolloutValues *values, const char *instance, Error *error) {
        _cleanup_rollout_survey_ RolloutSurvey survey = {};
        _cleanup_free_ char *why = NULL;
        json_auto_t *reasons = json_array();
        int r;

        if (!values->app || !values->group)
                return error_set_fault(error, -EDESTADDRREQ, FAULT_INPUT,
                                       "the %s is missing: muster why INSTANCE --app APP --group GROUP",
                                       values->app ? "group" : "app");
        r = rollout_survey_open(&survey, cli, values, error);
        if (r >= 0)
                r = rollout_why(survey.picture, instance, &why, error);
        if (r >= 0)
                r = add_reason(reasons, "instance", instance, why, error);
        return r < 0 ? r : tell(cli, reasons, error);
}

static int run_why(Cli *cli, void *values, char **words, Error *error) {
        const RolloutValues *given = values;

        return words && words[0] ? why_there(cli, given, words[0], error) : why_here(cli, given->app, error);
}

static const Option why_options[] = {
        { .name = "app",
          .letter = 'a',
          .type = OPTION_NAME,
          OPTION_INTO(RolloutValues, app),
          .value = "NAME",
          .help = "the app; on this instance all of them unless said",
          .environment = "MUSTER_APP" },
        { .name = "group",
          .letter = 'g',
          .type = OPTION_NAME,
          OPTION_INTO(RolloutValues, group),
          .value = "NAME",
          .help = "the deployment group of another instance",
          .environment = "MUSTER_GROUP" },
        ROOT_OPTION(RolloutValues, root),
        DEPOT_OPTIONS(RolloutValues, depot),
        OPTION_END,
};

const Command command_why = {
        .name = "why",
        .summary = "say what an instance waits for, and who holds the place",
        .description =
                "Without an argument it is this instance, and musterd is asked. Another instance is named by its EC2 id "
                "or the name of its report; then the depot is asked: its report, and the rollout of its group.",
        .arguments = "[INSTANCE]",
        .arguments_max = 1,
        .options = why_options,
        .values_size = sizeof(RolloutValues),
        .examples =
                (const Example[]){
                        { "Why does nothing happen here?", "muster why" },
                        { "And there?", "muster why i-0123456789abcdef0 --app api --group prod" },
                        {},
                },
        .run = run_why,
};
