#include "agent/cli/target_command.h"
#include "agent/cli/output.h"
#include "agent/cli/rollout_request.h"
#include "agent/cli/show_command.h"
#include "agent/cli/target_change.h"
#include "agent/cli/target_rollout.h"

/* Of set; refresh has a part of it. */
typedef struct SetValues {
        TargetValues target;
        const char *version;
        const char *max_parallel;
        char **set;
        char **unset;
} SetValues;

/* Setting */

/* Without a version what the group runs stays, a rollout included. With one no rollout may be under way. */
static int choose_edit(TargetChange *change, const SetValues *given, TargetEdit *edit, Error *error) {
        int r = 0;

        edit->set = given->set;
        edit->unset = given->unset;
        if (given->max_parallel)
                r = rollout_request_share("max-parallel", given->max_parallel, &edit->max_parallel, error);
        if (r < 0)
                return r;
        if (given->version) {
                r = target_change_check_not_pinned(change, error);
                return r < 0 ? r : target_rollout_check_over(change, false, error);
        }
        if (!change->present)
                return documents_no_target(&change->access, given->target.app, given->target.group, error);
        edit->kind = TARGET_EDIT_VALUES;
        return 0;
}

static int check_something(const SetValues *given, Error *error) {
        if (given->version || given->set || given->unset || given->max_parallel)
                return 0;
        return error_set_fault(error, -EDESTADDRREQ, FAULT_INPUT,
                               "nothing to set: expected --version, --env, --unset-env or --max-parallel");
}

static int run_set(Cli *cli, void *values, _unused_ char **arguments, Error *error) {
        const SetValues *given = values;
        _cleanup_target_change_ TargetChange change = {};
        TargetEdit edit = {};
        int r;

        r = check_something(given, error);
        if (r >= 0)
                r = target_change_open(&change, cli, &given->target, error);
        if (r >= 0)
                r = target_change_take_key(&change, error);
        if (r >= 0 && given->version)
                r = target_change_get_release(&change, given->version, NULL, error);
        if (r >= 0)
                r = target_change_read(&change, error);
        if (r >= 0)
                r = choose_edit(&change, given, &edit, error);
        if (r >= 0)
                r = target_change_write(&change, &edit, error);
        if (r < 0)
                return r;
        if (edit.kind == TARGET_EDIT_VALUES)
                return target_change_tell(&change, change.changed ? "set, stays at" : "already so, stays at",
                                          error);
        return target_change_tell(&change, change.changed ? "now" : "already", error);
}

static const Option set_options[] = {
        APP_OPTION(SetValues, target.app),
        GROUP_OPTION(SetValues, target.group),
        VERSION_OPTION(SetValues, version, false),
        { .name = "env",
          .letter = 'e',
          .type = OPTION_LIST,
          OPTION_INTO(SetValues, set),
          .value = "NAME=VALUE",
          .help = "set an environment variable of the group, over the release's; may be repeated" },
        { .name = "unset-env",
          .type = OPTION_LIST,
          OPTION_INTO(SetValues, unset),
          .value = "NAME",
          .help = "remove an environment variable of the group; may be repeated" },
        { .name = "max-parallel",
          .type = OPTION_TEXT,
          OPTION_INTO(SetValues, max_parallel),
          .value = "N|N%",
          .help = "how many instances may change at once" },
        FORCE_OPTION(SetValues, target),
        SIGNING_OPTIONS(SetValues, target),
        OPTION_END,
};

static const Command command_target_set = {
        .name = "set",
        .summary = "say which version a group runs",
        .description =
                "The release is verified first. All instances change to it, as many at once as max_parallel says, in no "
                "stages and with no way back of their own: that is \"muster rollout start\". What is not named stays as it "
                "is, so without a version only values change, which disturbs no rollout. The serial goes up. "
                "Whoever sets the same target at the same time is told (exit 6), and nothing is lost.",
        .options = set_options,
        .values_size = sizeof(SetValues),
        .examples =
                (const Example[]){
                        { "Run 1.4.2 in production.",
                          "muster target set --app api --group prod --version 1.4.2 --key target.key" },
                        { "A quarter of the group at once, from now on.",
                          "muster target set --app api --group prod --max-parallel 25% --key target.key" },
                        { "With another setting, and only if nobody changed anything since serial 17.",
                          "muster target set --app api --group prod --version 1.4.2 --env LOG_LEVEL=debug \\\n"
                          "--expect-serial 17" },
                        {},
                },
        .run = run_set,
};

/* Refreshing */

static const Option refresh_options[] = {
        APP_OPTION(SetValues, target.app),      GROUP_OPTION(SetValues, target.group),
        FRESHNESS_OPTIONS(SetValues, target),   ROOT_OPTION(SetValues, target.root),
        DEPOT_OPTIONS(SetValues, target.depot), OPTION_END,
};

static int run_refresh(Cli *cli, void *values, _unused_ char **arguments, Error *error) {
        const TargetValues *options = &((const SetValues *) values)->target;
        _cleanup_target_change_ TargetChange change = {};
        _cleanup_target_ Target *target = NULL;
        char until[TIME_TEXT_MAX];
        int r;

        r = target_change_open(&change, cli, options, error);
        if (r >= 0)
                r = documents_get_target(&change.access, change.root, change.now, options->app,
                                         options->group, &target, error);
        if (r >= 0)
                r = target_change_refresh(&change, target, error);
        if (r < 0 || !cli->json)
                return r;
        target_change_fresh_until(&change, until);
        return output_json(cli,
                           json_pack("{s:I, s:s, s:s}", "serial", (json_int_t) target->serial, "sha256",
                                     target->sha256, "fresh_until", until),
                           error);
}

static const Command command_target_refresh = {
        .name = "refresh",
        .summary = "say that a group's target is still current",
        .description =
                "For trust roots with the role freshness: instances then follow a target only until its freshness "
                "ends, so that nobody can hold them at an old one. Run it from a timer.",
        .options = refresh_options,
        .values_size = sizeof(SetValues),
        .examples =
                (const Example[]){
                        { "Every day, for a week each time.",
                          "muster target refresh --app api --group prod --freshness-key freshness.key --fresh-for 7d" },
                        {},
                },
        .run = run_refresh,
};

const Command command_target = {
        .name = "target",
        .summary = "say what groups run",
        .verbs =
                (const Command *const[]){
                        &command_target_set,
                        &command_target_refresh,
                        &command_target_show,
                        NULL,
                },
};
