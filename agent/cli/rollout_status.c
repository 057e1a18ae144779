#include "agent/cli/rollout_status.h"
#include "agent/cli/output.h"
#include "agent/cli/place_words.h"
#include "agent/cli/rollout_follow.h"
#include "agent/cli/rollout_page.h"
#include "agent/cli/shared_options.h"

typedef struct StatusValues {
        RolloutValues rollout;
        bool watch;
        OptionNumber timeout;
} StatusValues;

static int print(const Cli *cli, const RolloutSurvey *survey, Error *error) {
        if (cli->json)
                return output_json(cli, json_incref(survey->picture), error);
        return rollout_page_print(survey->picture, survey->now, cli->out, &cli->out_style) < 0
                       ? error_oom(error)
                       : 0;
}

static int run_status(Cli *cli, void *values, char **words, Error *error) {
        StatusValues *given = values;
        RolloutValues *where = &given->rollout;
        _cleanup_rollout_survey_ RolloutSurvey survey = {};
        int r;

        r = rollout_follow_check(given->watch, &given->timeout, error);
        if (r >= 0)
                r = place_words_take_group(&where->app, &where->group, words,
                                           "muster rollout status APP GROUP", error);
        if (r >= 0)
                r = rollout_survey_open(&survey, cli, where, error);
        if (r < 0 || !given->watch)
                return r < 0 ? r : print(cli, &survey, error);
        if (!rollout_plan_is_shared(&survey.access.plan))
                return rollout_access_check_staged(&survey.access, error);
        return rollout_follow(&survey, given->timeout.value, error);
}

static const Option status_options[] = {
        { .name = "watch",
          .letter = 'w',
          .type = OPTION_FLAG,
          OPTION_INTO(StatusValues, watch),
          .help = "follow it to its end: exit 0 if it is complete, 1 if it was aborted or replaced" },
        { .name = "timeout",
          .type = OPTION_DURATION,
          OPTION_INTO(StatusValues, timeout),
          .value = "TIME",
          .help = "with --watch, give up (exit 1) after so long" },
        PLACE_OPTIONS(StatusValues, rollout.app, rollout.group),
        ROOT_OPTION(StatusValues, rollout.root),
        DEPOT_OPTIONS(StatusValues, rollout.depot),
        OPTION_END,
};

const Command command_rollout_status = {
        .name = "status",
        .summary = "say how far a rollout is, and what it waits for",
        .description =
                "The stages, each instance with what it runs, what it does, since when and why, and what failed, with the "
                "last lines that were printed there. With --watch a page that changes on a terminal, elsewhere a line "
                "for all that is new.",
        .arguments = "APP GROUP",
        .arguments_max = 2,
        .options = status_options,
        .values_size = sizeof(StatusValues),
        .examples =
                (const Example[]){
                        { "Look on.", "muster rollout status api prod --watch" },
                        { "For a script.", "muster rollout status api prod --json | jq -r .state" },
                        {},
                },
        .run = run_status,
};
