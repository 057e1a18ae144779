#include <inttypes.h>

#include "agent/cli/output.h"
#include "agent/cli/place_words.h"
#include "agent/cli/rollout_access.h"
#include "agent/cli/rollout_control.h"
#include "agent/cli/shared_options.h"

typedef struct ControlValues {
        RolloutValues rollout;
        const char *reason;
        OptionNumber stage; /* of promote: 1 is the first */
} ControlValues;

static json_t *describe(const RolloutAccess *access, const Register *reg, bool changed) {
        return json_pack("{s:s, s:s, s:s, s:s, s:I, s:I, s:b, s:s*, s:s*}", "app", access->target->app,
                         "group", access->target->group, "rollout", reg->id, "state",
                         register_state_to_string(reg->state), "stage", (json_int_t) reg->stage + 1, "stages",
                         (json_int_t) access->plan.n_stages, "changed", changed, "reason", reg->reason, "by",
                         reg->by);
}

static int tell(const Cli *cli, const RolloutAccess *access, RegisterOp *op, bool changed, Error *error) {
        const Register *reg = register_op_register(op);
        char sentence[REGISTER_SENTENCE_MAX];

        if (cli->json)
                return output_json(cli, describe(access, reg, changed), error);
        register_describe(reg, &access->plan, register_op_time(op), sentence);
        cli_say(cli, "%s in %s: rollout %s: %s%s", access->target->app, access->target->group, reg->id,
                changed ? "" : "already ", sentence);
        return 0;
}

/* Of two operators one wins; the other one is told, with a status that says so. */
static int refuse(int r, const RolloutAccess *access, Error *error) {
        bool conflict = (r == -EPERM || r == -EALREADY) && error->fault == FAULT_INPUT;

        if (r == -EBADMSG)
                error_prefix(error, "rollout %s", access->plan.id);
        error_prefix(error, "%s in %s", access->target->app, access->target->group);
        return conflict ? -ESTALE : r;
}

static int change(const Cli *cli, const RolloutAccess *access, const RegisterEvent *event, Error *error) {
        _cleanup_(register_op_freep) RegisterOp *op = NULL;
        int r, done;

        r = done = register_access_change(&access->site, event, &op, error);
        if (r == -EALREADY && event->kind != REGISTER_PROMOTE)
                r = register_access_read(&access->site, &op, error);
        return r < 0 ? refuse(r, access, error) : tell(cli, access, op, done >= 0, error);
}

static int open_rollout(RolloutAccess *access, const Cli *cli, ControlValues *values, char *const *words,
                        const char *usage, Error *error) {
        int r;

        r = place_words_take_group(&values->rollout.app, &values->rollout.group, words, usage, error);
        if (r >= 0)
                r = rollout_access_open(access, cli, &values->rollout, error);
        return r < 0 ? r : rollout_access_check_staged(access, error);
}

static int run(Cli *cli, ControlValues *values, char *const *words, RegisterEventKind kind, const char *usage,
               Error *error) {
        _cleanup_rollout_access_ RolloutAccess access = {};
        const RegisterEvent event = { .kind = kind, .by = access.name, .reason = values->reason };
        int r = open_rollout(&access, cli, values, words, usage, error);

        return r < 0 ? r : change(cli, &access, &event, error);
}

static int run_pause(Cli *cli, void *values, char **words, Error *error) {
        return run(cli, values, words, REGISTER_PAUSE, "muster rollout pause APP GROUP", error);
}

static int run_resume(Cli *cli, void *values, char **words, Error *error) {
        return run(cli, values, words, REGISTER_RESUME, "muster rollout resume APP GROUP", error);
}

static int run_abort(Cli *cli, void *values, char **words, Error *error) {
        return run(cli, values, words, REGISTER_ABORT, "muster rollout abort APP GROUP --reason TEXT", error);
}

/* Which stage is meant is said with the event, so that nothing is promoted twice: the one that is open now, or the one of
 * --stage. */
static int find_stage(const RolloutAccess *access, const OptionNumber *given, uint64_t *ret, Error *error) {
        _cleanup_(register_op_freep) RegisterOp *op = NULL;
        int r;

        if (given->given) {
                if (given->value < 1 || given->value > access->plan.n_stages)
                        return error_set_fault(error, -EDESTADDRREQ, FAULT_INPUT,
                                               "--stage is %" PRIu64 ", expected one of the rollout's %zu",
                                               given->value, access->plan.n_stages);
                *ret = given->value - 1;
                return 0;
        }
        r = register_access_read(&access->site, &op, error);
        if (r < 0)
                return refuse(r, access, error);
        *ret = register_op_register(op)->stage;
        return 0;
}

static int run_promote(Cli *cli, void *values, char **words, Error *error) {
        ControlValues *given = values;
        _cleanup_rollout_access_ RolloutAccess access = {};
        RegisterEvent event = { .kind = REGISTER_PROMOTE, .by = access.name };
        int r;

        r = open_rollout(&access, cli, given, words, "muster rollout promote APP GROUP", error);
        if (r >= 0)
                r = find_stage(&access, &given->stage, &event.stage, error);
        return r < 0 ? r : change(cli, &access, &event, error);
}

/* Tables */

#define REASON_OPTION(is_required)                                                                           \
        {                                                                                                    \
                .name = "reason", .type = OPTION_LINE, OPTION_INTO(ControlValues, reason), .value = "TEXT",  \
                .help = "why, for everybody who looks at the rollout", .required = is_required               \
        }

#define BY_OPTION                                                                                            \
        {                                                                                                    \
                .name = "by", .type = OPTION_TEXT, OPTION_INTO(ControlValues, rollout.by), .value = "NAME",  \
                .help = "who does it (otherwise user@host)", .environment = OPERATOR_VARIABLE                \
        }

#define REGISTER_OPTIONS                                                                                     \
        BY_OPTION, PLACE_OPTIONS(ControlValues, rollout.app, rollout.group),                                 \
                ROOT_OPTION(ControlValues, rollout.root), DEPOT_OPTIONS(ControlValues, rollout.depot),       \
                OPTION_END

static const Option pause_options[] = { REASON_OPTION(false), REGISTER_OPTIONS };
static const Option abort_options[] = { REASON_OPTION(false), REGISTER_OPTIONS };
static const Option resume_options[] = { REGISTER_OPTIONS };
static const Option promote_options[] = {
        { .name = "stage",
          .type = OPTION_NUMBER,
          OPTION_INTO(ControlValues, stage),
          .value = "N",
          .help = "refuse (exit 6) unless this stage is open, 1 being the first" },
        REGISTER_OPTIONS,
};

#define GROUP_ARGUMENTS(table)                                                                               \
        .arguments = "APP GROUP", .arguments_max = 2, .options = table, .values_size = sizeof(ControlValues)

const Command command_rollout_pause = {
        .name = "pause",
        .summary = "begin nothing more until it is resumed",
        .description =
                "Instances that change at this moment go on; no other begins, and no stage ends. Needs no key.",
        GROUP_ARGUMENTS(pause_options),
        .examples =
                (const Example[]){
                        { "Wait, something looks odd.",
                          "muster rollout pause api prod --reason \"latency at i-0abc\"" },
                        {},
                },
        .run = run_pause,
};

const Command command_rollout_resume = {
        .name = "resume",
        .summary = "go on with a rollout that was paused",
        .description = "Needs no key.",
        GROUP_ARGUMENTS(resume_options),
        .examples = (const Example[]){ { "It was nothing.", "muster rollout resume api prod" }, {} },
        .run = run_resume,
};

const Command command_rollout_promote = {
        .name = "promote",
        .summary = "let the stage that is open end",
        .description =
                "For rollouts that were started with --promote manual, and for stages that an alarm of which nothing is known "
                "holds. The stage ends when its instances are healthy and "
                "have baked, and it was promoted. Of two who promote the same stage the second is told (exit 6). "
                "Needs no key.",
        GROUP_ARGUMENTS(promote_options),
        .examples =
                (const Example[]){
                        { "The canary looks good.", "muster rollout promote api prod" },
                        { "From a script that has looked at stage 1.",
                          "muster rollout promote api prod --stage 1" },
                        {},
                },
        .run = run_promote,
};

const Command command_rollout_abort = {
        .name = "abort",
        .summary = "lead every instance back to the stable release, for good",
        .description =
                "Instances with the candidate go back from their own disks, as many at once as max_parallel allows; one "
                "in the middle of a deployment backs out. An abort cannot be undone: another try is another rollout. "
                "A rollout that is complete can be aborted until \"muster rollout finish\". Needs no key.",
        GROUP_ARGUMENTS(abort_options),
        .examples =
                (const Example[]){
                        { "Back, and why.",
                          "muster rollout abort api prod --reason \"orders are lost, OPS-17\"" },
                        {},
                },
        .run = run_abort,
};
