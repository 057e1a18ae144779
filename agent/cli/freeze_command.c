#include "agent/cli/freeze_command.h"
#include "agent/cli/freeze_edit.h"
#include "agent/cli/output.h"
#include "agent/cli/place_words.h"
#include "agent/cli/rollout_request.h"
#include "agent/cli/table.h"
#include "agent/cli/target_change.h"

typedef struct FreezeValues {
        TargetValues target;
        const char *from;
        const char *until;
        OptionNumber length;
        const char *reason;
} FreezeValues;

static int open_group(TargetChange *change, Cli *cli, FreezeValues *values, char *const *words, bool signs,
                      const char *usage, Error *error) {
        int r;

        r = place_words_take_group(&values->target.app, &values->target.group, words, usage, error);
        if (r >= 0)
                r = target_change_open(change, cli, &values->target, error);
        if (r >= 0 && signs)
                r = target_change_take_key(change, error);
        return r < 0 ? r : target_change_read_present(change, error);
}

/* Adding */

/* NOW is used where it is not said from when. */
static int read_window(const FreezeValues *values, uint64_t now, TargetFreeze *ret, Error *error) {
        TargetFreeze freeze = { .from = now / USEC_PER_SEC * USEC_PER_SEC,
                                .reason = (char *) values->reason };
        int r = 0;

        if (!values->until == !values->length.given)
                return error_set_fault(error, -EDESTADDRREQ, FAULT_INPUT,
                                       "expected either --until TIME or --for TIME");
        if (values->from)
                r = rollout_request_time("from", values->from, &freeze.from, error);
        freeze.until = usec_add(freeze.from, values->length.value);
        if (r >= 0 && values->until)
                r = rollout_request_time("until", values->until, &freeze.until, error);
        if (r < 0)
                return r;
        if (freeze.until <= freeze.from)
                return error_set_fault(
                        error, -EDESTADDRREQ, FAULT_INPUT,
                        "the freeze ends before it begins: expected --until to be later than %s",
                        values->from ? "--from" : "now");
        if (freeze.until <= now)
                return error_set_fault(error, -EDESTADDRREQ, FAULT_INPUT,
                                       "the freeze is over already: it ends at %s",
                                       values->until ?: "a time that has passed");
        *ret = freeze;
        return 0;
}

static int write_freezes(TargetChange *change, json_t *freezes, const char *sentence, Error *error) {
        json_auto_t *owned = freezes;
        const TargetEdit edit = { .kind = TARGET_EDIT_VALUES, .freeze = owned };
        int r;

        if (!owned)
                return error_oom(error);
        r = target_change_write(change, &edit, error);
        return r < 0 ? r : target_change_say(change, sentence, error);
}

static int run_add(Cli *cli, void *values, char **words, Error *error) {
        FreezeValues *given = values;
        _cleanup_target_change_ TargetChange change = {};
        TargetFreeze freeze;
        char from[TIME_TEXT_MAX], until[TIME_TEXT_MAX], sentence[128];
        int r;

        r = read_window(given, clock_realtime(cli->clock), &freeze, error);
        if (r >= 0)
                r = open_group(&change, cli, given, words, true, "muster freeze add APP GROUP", error);
        if (r < 0)
                return r;
        format_time(freeze.from, from);
        format_time(freeze.until, until);
        snprintf(sentence, sizeof(sentence), "frozen from %s until %s", from, until);
        return write_freezes(&change, freeze_edit(change.present, change.now, &freeze, freeze.from), sentence,
                             error);
}

/* Removing */

static int find_window(const Target *target, uint64_t from, const char *text, Error *error) {
        for (size_t i = 0; i < target->freeze.n; i++)
                if (target->freeze.items[i].from == from)
                        return 0;
        return error_set_fault(error, -ENOENT, FAULT_INPUT,
                               "%s in %s: no freeze begins at %s: muster freeze list %s %s", target->app,
                               target->group, text, target->app, target->group);
}

static int run_remove(Cli *cli, void *values, char **words, Error *error) {
        FreezeValues *given = values;
        _cleanup_target_change_ TargetChange change = {};
        char sentence[128];
        uint64_t from = 0;
        int r;

        r = rollout_request_time("from", given->from, &from, error);
        if (r >= 0)
                r = open_group(&change, cli, given, words, true, "muster freeze remove APP GROUP --from TIME",
                               error);
        if (r >= 0)
                r = find_window(change.present, from, given->from, error);
        if (r < 0)
                return r;
        snprintf(sentence, sizeof(sentence), "no freeze at %.64s any more", given->from);
        return write_freezes(&change, freeze_edit(change.present, change.now, NULL, from), sentence, error);
}

/* Listing */

static const char *text_of(const json_t *object, const char *name) {
        return json_string_value(json_object_get(object, name));
}

static int print_list(const Cli *cli, const json_t *list, Error *error) {
        _cleanup_table_ Table table = { .n_columns = 4 };
        const json_t *freeze;
        size_t i;
        int r;

        if (json_array_size(list) == 0) {
                cli_say(cli, "no freeze");
                return 0;
        }
        r = table_add(&table, TABLE_ROW("FROM", "UNTIL", "STATE", "REASON"));
        json_array_foreach((json_t *) list, i, freeze)
                if (r >= 0)
                        r = table_add(&table, TABLE_ROW(text_of(freeze, "from"), text_of(freeze, "until"),
                                                        text_of(freeze, "state"), text_of(freeze, "reason")));
        if (r < 0)
                return error_oom(error);
        table_print(&table, cli->out, &cli->out_style);
        return 0;
}

static int run_list(Cli *cli, void *values, char **words, Error *error) {
        _cleanup_target_change_ TargetChange change = {};
        json_auto_t *list = NULL;
        int r;

        r = open_group(&change, cli, values, words, false, "muster freeze list APP GROUP", error);
        if (r < 0)
                return r;
        list = freeze_list(change.present, change.now);
        if (!list)
                return error_oom(error);
        return cli->json ? output_json(cli, json_pack("{s:O}", "freeze", list), error)
                         : print_list(cli, list, error);
}

/* Tables */

#define FROM_OPTION(what, is_required)                                                                       \
        {                                                                                                    \
                .name = "from", .type = OPTION_TEXT, OPTION_INTO(FreezeValues, from), .value = "TIME",       \
                .help = what, .required = is_required                                                        \
        }

#define GROUP_ARGUMENTS(table)                                                                               \
        .arguments = "APP GROUP", .arguments_max = 2, .options = table, .values_size = sizeof(FreezeValues)

static const Option add_options[] = {
        FROM_OPTION("when it begins, with its time zone (otherwise now)", false),
        { .name = "until",
          .type = OPTION_TEXT,
          OPTION_INTO(FreezeValues, until),
          .value = "TIME",
          .help = "when it ends, with its time zone" },
        { .name = "for",
          .type = OPTION_DURATION,
          OPTION_INTO(FreezeValues, length),
          .value = "TIME",
          .help = "how long it lasts, instead of --until" },
        { .name = "reason",
          .type = OPTION_LINE,
          OPTION_INTO(FreezeValues, reason),
          .value = "TEXT",
          .help = "why, for everybody who looks at the group" },
        PLACE_OPTIONS(FreezeValues, target.app, target.group),
        SIGNING_OPTIONS(FreezeValues, target),
        OPTION_END,
};

static const Command command_freeze_add = {
        .name = "add",
        .summary = "say when a group is not to move",
        .description =
                "Windows that have passed are dropped at the same time. One that begins at the same time as another takes "
                "its place.",
        GROUP_ARGUMENTS(add_options),
        .examples =
                (const Example[]){
                        { "The sale.",
                          "muster freeze add api prod --from 2026-11-27T00:00:00+01:00 \\\n"
                          "--until 2026-11-30T06:00:00+01:00 --reason \"the sale\" --key target.key" },
                        { "Two hours from now on.",
                          "muster freeze add api prod --for 2h --reason \"broadcast\" --key target.key" },
                        {},
                },
        .run = run_add,
};

static const Option remove_options[] = {
        FROM_OPTION("when it begins, as \"muster freeze list\" says", true),
        PLACE_OPTIONS(FreezeValues, target.app, target.group),
        SIGNING_OPTIONS(FreezeValues, target),
        OPTION_END,
};

static const Command command_freeze_remove = {
        .name = "remove",
        .summary = "take a freeze back",
        GROUP_ARGUMENTS(remove_options),
        .examples =
                (const Example[]){
                        { "The sale begins later.",
                          "muster freeze remove api prod --from 2026-11-26T23:00:00Z --key target.key" },
                        {},
                },
        .run = run_remove,
};

static const Option list_options[] = {
        PLACE_OPTIONS(FreezeValues, target.app, target.group),
        ROOT_OPTION(FreezeValues, target.root),
        DEPOT_OPTIONS(FreezeValues, target.depot),
        OPTION_END,
};

static const Command command_freeze_list = {
        .name = "list",
        .summary = "print when a group is not to move",
        GROUP_ARGUMENTS(list_options),
        .examples = (const Example[]){ { "Is anything frozen?", "muster freeze list api prod" }, {} },
        .run = run_list,
};

const Command command_freeze = {
        .name = "freeze",
        .summary = "windows in which a group moves to no candidate",
        .description =
                "In a freeze no instance in service begins to move toward a candidate, and no bake ends. Aborts, "
                "rollbacks, pins and new instances are never frozen. The rollout keeps its id and its place.",
        .verbs =
                (const Command *const[]){
                        &command_freeze_add,
                        &command_freeze_remove,
                        &command_freeze_list,
                        NULL,
                },
};
