#include <string.h>

#include "agent/base/file.h"
#include "agent/base/parse.h"
#include "agent/cli/documents.h"
#include "agent/cli/output.h"
#include "agent/cli/place_words.h"
#include "agent/cli/shared_options.h"
#include "agent/cli/simulate_command.h"
#include "agent/cli/table.h"
#include "agent/rollout_forecast.h"
#include "artifacts/json.h"

typedef struct SimulateValues {
        const char *app;
        const char *group;
        const char *target;
        const char *root;
        OptionNumber fleet;
        OptionNumber change;
        DepotValues depot;
} SimulateValues;

/* The target */

/* A file holds a payload, or the envelope of one: it is not about to be believed, so nobody's signature is asked for. */
static int read_file(const char *path, Target **ret, Error *error) {
        _cleanup_dsse_envelope_ DsseEnvelope *envelope = NULL;
        _cleanup_buffer_ Buffer content = {};
        int r;

        r = file_read_at(AT_FDCWD, path, DSSE_ENVELOPE_SIZE_MAX, &content);
        if (r < 0)
                return error_set_errno(error, r, "cannot read the target %s", path);
        if (dsse_envelope_parse(path, content.data, content.size, &envelope, NULL) >= 0)
                r = target_parse(envelope->payload, envelope->payload_size, ret, error);
        else
                r = target_parse(content.data, content.size, ret, error);
        if (r < 0)
                error_prefix(error, "%s", path);
        return r;
}

static int read_depot(const Cli *cli, SimulateValues *values, char *const *words, Target **ret,
                      Error *error) {
        _cleanup_depot_access_ DepotAccess access = {};
        _cleanup_trust_root_ TrustRoot *root = NULL;
        int r;

        r = place_words_take_group(&values->app, &values->group, words,
                                   "muster simulate APP GROUP, or muster simulate --target FILE", error);
        if (r >= 0)
                r = trust_root_read(values->root, &root, error);
        if (r >= 0)
                r = depot_access_open(&values->depot, &access, error);
        if (r >= 0)
                r = documents_get_target(&access, root, clock_realtime(cli->clock), values->app,
                                         values->group, ret, error);
        return r;
}

/* Telling */

/* "+11m" after BEGINNING. */
#define AFTER_MAX (DURATION_TEXT_MAX + 1)
static void format_after(uint64_t time, uint64_t beginning, char ret[static AFTER_MAX]) {
        ret[0] = '+';
        format_duration(time > beginning ? time - beginning : 0, ret + 1);
}

static int add_stage(Table *table, const RolloutForecast *forecast, size_t i) {
        const ForecastStage *stage = &forecast->stages[i];
        char number[24], instances[32], at_once[24], opens[AFTER_MAX], healthy[AFTER_MAX], ends[AFTER_MAX],
                entry[TIME_TEXT_MAX];

        snprintf(number, sizeof(number), "%zu", i + 1);
        snprintf(instances, sizeof(instances), "%ju", (uintmax_t) stage->instances);
        snprintf(at_once, sizeof(at_once), "%ju", (uintmax_t) stage->most_changing);
        format_after(stage->opens, forecast->begins, opens);
        format_after(stage->healthy, forecast->begins, healthy);
        format_after(stage->ends, forecast->begins, ends);
        format_time(stage->entry, entry);
        return table_add(table,
                         TABLE_ROW(number, instances, at_once, opens, stage->healthy > 0 ? healthy : "never",
                                   stage->ends > 0 ? ends : "never", entry,
                                   stage->promoted ? "waits for muster rollout promote" : ""));
}

static int print_stages(const Cli *cli, const RolloutForecast *forecast, Error *error) {
        _cleanup_table_ Table table = { .n_columns = 8 };
        int r;

        r = table_add(&table, TABLE_ROW("STAGE", "INSTANCES", "AT ONCE", "OPENS", "ALL HEALTHY", "ENDS",
                                        "NOT BEFORE", ""));
        for (size_t i = 0; i < forecast->n_stages && r >= 0; i++)
                r = add_stage(&table, forecast, i);
        if (r < 0)
                return error_oom(error);
        table_print(&table, cli->out, &cli->out_style);
        return 0;
}

static void print_freezes(const Cli *cli, const Target *target, const RolloutForecast *forecast) {
        for (size_t i = 0; i < target->freeze.n; i++) {
                const TargetFreeze *freeze = &target->freeze.items[i];
                char from[TIME_TEXT_MAX], until[TIME_TEXT_MAX];

                if (freeze->until <= forecast->begins ||
                    (forecast->ends > 0 && freeze->from >= forecast->ends))
                        continue;
                format_time(freeze->from, from);
                format_time(freeze->until, until);
                cli_say(cli, "frozen from %s until %s%s%s", from, until, freeze->reason ? ": " : "",
                        freeze->reason ?: "");
        }
}

static void print_alarms(const Cli *cli, const RolloutPlan *plan) {
        for (size_t i = 0; plan->alarmed && i < plan->target->rollout.alarms.n; i++)
                cli_say(cli, "alarm %s is taken to be quiet", plan->target->rollout.alarms.items[i]);
}

static void print_capacity(const Cli *cli, const RolloutPlan *plan, const RolloutForecast *forecast) {
        uint64_t failures = plan->staged ? plan->max_failures : 0;

        if (failures > 0)
                cli_say(cli,
                        "at worst %ju of %ju instances serve: %ju change at once, and as many as may fail without an "
                        "abort (%ju) have failed",
                        (uintmax_t) forecast->serving, (uintmax_t) forecast->fleet,
                        (uintmax_t) forecast->parallel, (uintmax_t) failures);
        else
                cli_say(cli, "at worst %ju of %ju instances serve: %ju change at once",
                        (uintmax_t) forecast->serving, (uintmax_t) forecast->fleet,
                        (uintmax_t) forecast->parallel);
}

static int print_forecast(const Cli *cli, const RolloutPlan *plan, const RolloutForecast *forecast,
                          uint64_t change, Error *error) {
        const Target *target = plan->target;
        char begins[TIME_TEXT_MAX], ends[TIME_TEXT_MAX], after[AFTER_MAX], takes[DURATION_TEXT_MAX];
        int r;

        format_time(forecast->begins, begins);
        format_duration(change, takes);
        cli_say(cli, "%s in %s: %s from %s to %s, %ju instance%s of which each takes %s", target->app,
                target->group, plan->id, plan->staged ? target->stable.version : "what runs",
                plan->to->version, (uintmax_t) forecast->fleet, forecast->fleet == 1 ? "" : "s", takes);
        cli_say(cli, "begins at %s at the earliest\n", begins);
        r = print_stages(cli, forecast, error);
        if (r < 0)
                return r;
        cli_say(cli, "%s", "");
        print_freezes(cli, target, forecast);
        print_alarms(cli, plan);
        print_capacity(cli, plan, forecast);
        if (forecast->ends == 0) {
                cli_say(cli, "it would not complete: %s", forecast->problem);
                return 0;
        }
        format_time(forecast->ends, ends);
        format_after(forecast->ends, forecast->begins, after);
        cli_say(cli, "complete at %s at the earliest, %s after it begins", ends, after + 1);
        return 0;
}

static json_t *time_to_json(uint64_t usec) {
        char text[TIME_TEXT_MAX];

        format_time(usec, text);
        return usec > 0 && usec != USEC_INFINITY ? json_string(text) : json_null();
}

static json_t *stage_to_json(const ForecastStage *stage) {
        return json_pack("{s:I, s:I, s:o, s:o, s:o, s:o, s:b}", "instances", (json_int_t) stage->instances,
                         "at_once", (json_int_t) stage->most_changing, "not_before",
                         time_to_json(stage->entry), "opens", time_to_json(stage->opens), "healthy",
                         time_to_json(stage->healthy), "ends", time_to_json(stage->ends), "promoted_by_hand",
                         stage->promoted);
}

static json_t *forecast_to_json(const RolloutPlan *plan, const RolloutForecast *forecast) {
        _cleanup_json_ json_t *stages = json_array();

        for (size_t i = 0; i < forecast->n_stages; i++)
                if (json_array_append_new(stages, stage_to_json(&forecast->stages[i])) < 0)
                        return NULL;
        return json_pack("{s:s, s:s, s:I, s:I, s:I, s:o, s:o, s:O, s:s?}", "rollout", plan->id, "version",
                         plan->to->version, "fleet", (json_int_t) forecast->fleet, "at_once",
                         (json_int_t) forecast->parallel, "serving_at_worst", (json_int_t) forecast->serving,
                         "begins", time_to_json(forecast->begins), "ends", time_to_json(forecast->ends),
                         "stages", stages, "problem", *forecast->problem ? forecast->problem : NULL);
}

/* The command */

static int simulate(const Cli *cli, const SimulateValues *values, const Target *target, Error *error) {
        RolloutForecast forecast;
        RolloutPlan plan;
        int r;

        rollout_plan_make(target, &plan);
        if (!rollout_plan_is_shared(&plan))
                return error_set_fault(
                        error, -EINVAL, FAULT_INPUT,
                        "%s in %s goes to %s at once, whatever the others do: there is no rollout and %s",
                        target->app, target->group, plan.to->version,
                        target->urgent ? "the target is urgent" : "no max_parallel");
        r = rollout_forecast(&plan, values->fleet.value, values->change.value, clock_realtime(cli->clock),
                             &forecast, error);
        if (r < 0)
                return r;
        r = cli->json ? output_json(cli, forecast_to_json(&plan, &forecast), error)
                      : print_forecast(cli, &plan, &forecast, values->change.value, error);
        return r < 0 || forecast.ends > 0 ? r : EXIT_CODE_FAILED;
}

static int run_simulate(Cli *cli, void *values, char **arguments, Error *error) {
        SimulateValues *given = values;
        _cleanup_target_ Target *target = NULL;
        int r;

        if (given->target && arguments && *arguments)
                return error_set_fault(error, -EDESTADDRREQ, FAULT_INPUT,
                                       "expected APP GROUP or --target FILE, not both");
        r = given->target ? read_file(given->target, &target, error)
                          : read_depot(cli, given, arguments, &target, error);
        return r < 0 ? r : simulate(cli, given, target, error);
}

static const Option options[] = {
        { .name = "target",
          .type = OPTION_PATH,
          OPTION_INTO(SimulateValues, target),
          .value = "FILE",
          .help = "a target, signed or not, in place of the one that is in force" },
        { .name = "fleet",
          .letter = 'n',
          .type = OPTION_NUMBER,
          OPTION_INTO(SimulateValues, fleet),
          .value = "N",
          .help = "how many instances there are",
          .required = true },
        { .name = "deploy-time",
          .type = OPTION_DURATION,
          OPTION_INTO(SimulateValues, change),
          .value = "TIME",
          .help = "how long one instance takes to change and be healthy",
          .initial = "1m" },
        PLACE_OPTIONS(SimulateValues, app, group),
        ROOT_OPTION(SimulateValues, root),
        DEPOT_OPTIONS(SimulateValues, depot),
        OPTION_END,
};

const Command command_simulate = {
        .name = "simulate",
        .summary = "say how a rollout would go, before it is started",
        .description =
                "Plays the rollout of a target, with the rules that the instances follow, for a fleet in which nothing goes "
                "wrong: when each stage opens at the earliest, how many change at once, bakes and freezes, when it "
                "is complete, and how many instances serve in the worst case. Coordination adds a few minutes. Exit "
                "status 1: it would not complete.",
        .arguments = "[APP GROUP]",
        .arguments_max = 2,
        .options = options,
        .values_size = sizeof(SimulateValues),
        .examples =
                (const Example[]){
                        { "What the target that is in force would do.",
                          "muster simulate api prod --fleet 100" },
                        { "A target that is not signed yet.",
                          "muster simulate --target target.json --fleet 100 --deploy-time 90s" },
                        {},
                },
        .run = run_simulate,
};
