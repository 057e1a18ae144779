#include <inttypes.h>
#include <string.h>

#include "agent/base/strv.h"
#include "agent/cli/place_words.h"
#include "agent/cli/rollout_follow.h"
#include "agent/cli/rollout_request.h"
#include "agent/cli/rollout_sign.h"
#include "agent/cli/target_change.h"
#include "agent/cli/target_rollout.h"

#define ROLLOUTS_A_DAY_MAX 1000U

typedef struct SignValues {
        TargetValues target;
        const char *version;
        RolloutRequest request;
        const char *max_parallel;
        bool urgent;
        bool watch;
        OptionNumber timeout;
} SignValues;

static int open_group(TargetChange *change, Cli *cli, SignValues *values, char *const *words,
                      const char *usage, Error *error) {
        int r;

        r = place_words_take_group(&values->target.app, &values->target.group, words, usage, error);
        if (r >= 0)
                r = target_change_open(change, cli, &values->target, error);
        if (r >= 0)
                r = target_change_take_key(change, error);
        return r < 0 ? r : target_change_read_present(change, error);
}

/* Starting */

static int check_candidate(const TargetChange *change, Error *error) {
        const Target *present = change->present;

        if (strcmp(present->stable.sha256, change->release->sha256) == 0)
                return error_set_fault(error, -EEXIST, FAULT_INPUT,
                                       "%s in %s: %s is the stable release already", present->app,
                                       present->group, present->stable.version);
        return 0;
}

static bool is_present(const TargetChange *change, const char *id) {
        return id && string_equal(id, change->present->rollout.id);
}

/* Begun already under this id, and the candidate is the same: there is nothing to do. */
static bool is_begun(const TargetChange *change, const char *id) {
        return is_present(change, id) &&
               strcmp(change->present->candidate.sha256, change->release->sha256) == 0;
}

/* Also where its register is lost: what its instances remember of it is about another candidate. */
static int check_id(const TargetChange *change, const char *id, Error *error) {
        if (!is_present(change, id))
                return 0;
        return error_set_fault(error, -EEXIST, FAULT_INPUT,
                               "%s in %s: rollout %s is about %s: choose another id", change->present->app,
                               change->present->group, id, change->present->candidate.version);
}

static uint64_t depot_time(const TargetChange *change) {
        return change->stored.server_time ?: change->now;
}

static int write_rollout(TargetChange *change, const SignValues *values, const char *id, Error *error) {
        TargetEdit edit = { .kind = TARGET_EDIT_CANDIDATE, .urgent = values->urgent };
        int r;

        if (values->max_parallel) {
                r = rollout_request_share("max-parallel", values->max_parallel, &edit.max_parallel, error);
                if (r < 0)
                        return r;
        }
        r = rollout_request_to_json(&values->request, id, depot_time(change), &edit.rollout, error);
        if (r >= 0)
                r = target_change_write(change, &edit, error);
        json_decref(edit.rollout);
        return r;
}

/* The first id of the day that nothing has: who comes at the same time, or was broken off, may have taken one, and
 * the register of the present one may be lost. */
static int write_next_rollout(TargetChange *change, const SignValues *values, Error *error) {
        int r = -EEXIST;

        for (unsigned number = 1; r == -EEXIST && number <= ROLLOUTS_A_DAY_MAX; number++) {
                char id[ROLLOUT_REQUEST_ID_MAX];

                rollout_request_id(depot_time(change), number, id);
                if (is_present(change, id))
                        continue;
                r = write_rollout(change, values, id, error);
        }
        return r;
}

static int tell_start(const TargetChange *change, Error *error) {
        const Target *target = change->next;
        char sentence[256];

        snprintf(sentence, sizeof(sentence), "%s rollout %s from %s to %s",
                 change->changed ? "started" : "already in", target->rollout.id, target->stable.version,
                 target->candidate.version);
        return target_change_say(change, sentence, error);
}

/* With --json the end is what is told. */
static int tell_or_watch(const TargetChange *change, const SignValues *values, Error *error) {
        const TargetValues *target = &values->target;
        const RolloutValues where = { target->app, target->group, target->root, NULL, target->depot };
        _cleanup_rollout_survey_ RolloutSurvey survey = {};
        int r = 0;

        if (!values->watch || !change->cli->json)
                r = tell_start(change, error);
        if (r < 0 || !values->watch)
                return r;
        r = rollout_survey_open(&survey, change->cli, &where, error);
        return r < 0 ? r : rollout_follow(&survey, values->timeout.value, error);
}

static int begin(TargetChange *change, const SignValues *values, Error *error) {
        const char *id = values->request.id;
        int r;

        if (is_begun(change, id)) {
                change->next = TAKE_PTR(change->present);
                return tell_or_watch(change, values, error);
        }
        r = check_candidate(change, error);
        if (r >= 0)
                r = target_rollout_check_over(change, true, error);
        if (r >= 0)
                r = check_id(change, id, error);
        if (r >= 0)
                r = id ? write_rollout(change, values, id, error) : write_next_rollout(change, values, error);
        return r < 0 ? r : tell_or_watch(change, values, error);
}

static int run_start(Cli *cli, void *values, char **words, Error *error) {
        SignValues *given = values;
        _cleanup_target_change_ TargetChange change = {};
        json_auto_t *checked = NULL;
        TargetShare share;
        int r;

        r = rollout_follow_check(given->watch, &given->timeout, error);
        if (r >= 0)
                r = rollout_request_to_json(&given->request, "r", 0, &checked, error);
        if (r >= 0 && given->max_parallel)
                r = rollout_request_share("max-parallel", given->max_parallel, &share, error);
        if (r >= 0)
                r = open_group(&change, cli, given, words, "muster rollout start APP GROUP --version VERSION",
                               error);
        if (r >= 0)
                r = target_change_check_not_pinned(&change, error);
        if (r >= 0)
                r = target_change_get_release(&change, given->version, NULL, error);
        return r < 0 ? r : begin(&change, given, error);
}

/* Finishing */

static int finish(TargetChange *change, Error *error) {
        const TargetEdit edit = { .kind = TARGET_EDIT_STABLE };
        const Target *present = change->present;
        char how[128];
        int r;

        r = target_change_get_release(change, present->candidate.version, present->candidate.sha256, error);
        if (r >= 0)
                r = target_change_write(change, &edit, error);
        if (r < 0)
                return r;
        snprintf(how, sizeof(how), "finished rollout %s, stable is now", present->rollout.id);
        return target_change_tell(change, how, error);
}

static int run_finish(Cli *cli, void *values, char **words, Error *error) {
        _cleanup_target_change_ TargetChange change = {};
        int r;

        r = open_group(&change, cli, values, words, "muster rollout finish APP GROUP", error);
        if (r >= 0)
                r = target_rollout_check_complete(&change, error);
        return r < 0 ? r : finish(&change, error);
}

/* Tables */

static const Option start_options[] = {
        VERSION_OPTION(SignValues, version, true),
        { .name = "stages",
          .letter = 's',
          .type = OPTION_TEXT,
          OPTION_INTO(SignValues, request.stages),
          .value = "LIST",
          .help = "how many instances run the candidate in each stage, and how long the stage then bakes",
          .initial = ROLLOUT_STAGES_DEFAULT },
        { .name = "max-parallel",
          .type = OPTION_TEXT,
          OPTION_INTO(SignValues, max_parallel),
          .value = "N|N%",
          .help = "how many instances may change at once, from now on (otherwise as the target says)" },
        { .name = "max-failures",
          .type = OPTION_NUMBER,
          OPTION_INTO(SignValues, request.max_failures),
          .value = "N",
          .help = "how many instances may fail before it is aborted",
          .initial = "0" },
        { .name = "promote",
          .type = OPTION_TEXT,
          OPTION_INTO(SignValues, request.promote),
          .value = "WHO",
          .help = "auto: stages follow each other; manual: each waits for \"muster rollout promote\"",
          .initial = "auto" },
        { .name = "min-healthy-time",
          .type = OPTION_DURATION,
          OPTION_INTO(SignValues, request.min_healthy_time),
          .value = "TIME",
          .help = "how long an instance must have been healthy before it counts" },
        { .name = "progress-deadline",
          .type = OPTION_DURATION,
          OPTION_INTO(SignValues, request.progress_deadline),
          .value = "TIME",
          .help = "how long one instance may take to change (otherwise 15m)" },
        { .name = "not-before",
          .type = OPTION_TEXT,
          OPTION_INTO(SignValues, request.not_before),
          .value = "TIME",
          .help = "when the first stage begins, with its time zone (otherwise now)" },
        { .name = "canary",
          .type = OPTION_LIST,
          OPTION_INTO(SignValues, request.canaries),
          .value = "INSTANCE",
          .help = "an instance that goes first; may be repeated" },
        { .name = "alarm",
          .type = OPTION_LIST,
          OPTION_INTO(SignValues, request.alarms),
          .value = "NAME",
          .help = "an alarm of CloudWatch that aborts the rollout when it rings; may be repeated" },
        { .name = "id",
          .type = OPTION_NAME,
          OPTION_INTO(SignValues, request.id),
          .value = "NAME",
          .help = "what the rollout is called (otherwise r-DATE-N); with it a start can be repeated" },
        { .name = "urgent",
          .type = OPTION_FLAG,
          OPTION_INTO(SignValues, urgent),
          .help = "all instances of a stage at once, whatever max_parallel the target has" },
        { .name = "watch",
          .letter = 'w',
          .type = OPTION_FLAG,
          OPTION_INTO(SignValues, watch),
          .help = "follow it to its end, as \"muster rollout status --watch\" does" },
        { .name = "timeout",
          .type = OPTION_DURATION,
          OPTION_INTO(SignValues, timeout),
          .value = "TIME",
          .help = "with --watch, give up looking on (exit 1) after so long" },
        PLACE_OPTIONS(SignValues, target.app, target.group),
        SIGNING_OPTIONS(SignValues, target),
        OPTION_END,
};

const Command command_rollout_start = {
        .name = "start",
        .summary = "sign a candidate for a group, and its stages",
        .description =
                "Stages are shares of the fleet, growing, the last one 100%: \"1:10m,25%:10m,100%\" is one instance, "
                "healthy for ten minutes; then a quarter of all, healthy for ten minutes; then all. Who is first is "
                "chosen by a hash that differs from rollout to rollout, unless --canary names somebody.\n\n"
                "More failures than --max-failures abort it: every instance goes back. Otherwise it goes on by "
                "itself to the end, with nobody watching; then \"muster rollout finish\" makes it permanent.\n\n"
                "An alarm of --alarm that rings aborts it, too, once an instance has been let in; before that it keeps all out. "
                "While an alarm has no data, is not there or cannot be looked at, no stage ends, unless it is promoted "
                "by hand. Instances look at it with cloudwatch:DescribeAlarms.",
        .arguments = "APP GROUP",
        .arguments_max = 2,
        .options = start_options,
        .values_size = sizeof(SignValues),
        .examples =
                (const Example[]){
                        { "One instance, a quarter, all; ten minutes each.",
                          "muster rollout start api prod --version 1.5.0 --key target.key" },
                        { "From a build: repeatable, and its status is the rollout's.",
                          "muster rollout start api prod --version 1.5.0 --id build-4711 --watch --timeout 2h" },
                        { "By hand, the canary named.",
                          "muster rollout start api prod --version 1.5.0 --stages 1,50%,100% --promote manual \\\n"
                          "--canary i-0123456789abcdef0 --key target.key" },
                        {},
                },
        .run = run_start,
};

static const Option finish_options[] = {
        PLACE_OPTIONS(SignValues, target.app, target.group),
        SIGNING_OPTIONS(SignValues, target),
        OPTION_END,
};

const Command command_rollout_finish = {
        .name = "finish",
        .summary = "make a complete rollout permanent",
        .description =
                "Signs the candidate as the stable release. Until then every instance runs the candidate, but the stable "
                "release is the old one, which is where an abort or a rollback leads. Nothing restarts.",
        .arguments = "APP GROUP",
        .arguments_max = 2,
        .options = finish_options,
        .values_size = sizeof(SignValues),
        .examples =
                (const Example[]){
                        { "It is good.", "muster rollout finish api prod --key target.key" },
                        {},
                },
        .run = run_finish,
};
