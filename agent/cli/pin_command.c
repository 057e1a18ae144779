#include <string.h>

#include "agent/cli/bus_client.h"
#include "agent/cli/deploy_watch.h"
#include "agent/cli/output.h"
#include "agent/cli/pin_command.h"
#include "agent/cli/place_words.h"
#include "agent/cli/target_change.h"

/* Of the three; each has a part of its options. */
typedef struct PinValues {
        TargetValues target;
        const char *version;
        const char *reason;
        bool urgent;
        bool local;
        bool wait;
} PinValues;

static int take_group_words(PinValues *values, bool with_version, char *const *words, const char *usage,
                            Error *error) {
        const PlaceWord places[] = {
                APP_WORD(&values->target.app),
                GROUP_WORD(&values->target.group),
                VERSION_WORD(&values->version),
        };

        return place_words_take(places, with_version ? 3 : 2, words, usage, error);
}

/* One instance */

static int take_local_words(PinValues *values, bool with_version, char *const *words, const char *usage,
                            Error *error) {
        const PlaceWord places[] = {
                APP_WORD(&values->target.app),
                VERSION_WORD(&values->version),
        };

        if (values->urgent)
                return error_set_fault(error, -EDESTADDRREQ, FAULT_INPUT,
                                       "--urgent is about the instances of a group, not about --local");
        return place_words_take(places, with_version ? 2 : 1, words, usage, error);
}

static json_t *describe_local(const PinValues *values, bool changed, json_t *deployment) {
        return json_pack("{s:s, s:s*, s:s*, s:b, s:O*}", "app", values->target.app, "version",
                         values->version, "reason", values->reason, "changed", changed, "deployment",
                         deployment);
}

/* The pin holds from now on; whether the release serves is another question, with an answer of its own. */
static int follow_local(DeployWatch *watch, const PinValues *values, const char *id, Error *error) {
        json_auto_t *deployment = NULL;
        int r;

        r = deploy_watch_follow(watch, id, &deployment, error);
        if (r < 0 || !watch->cli->json)
                return r < 0 ? r : deploy_watch_tell(watch, deployment, error);
        r = output_json(watch->cli, describe_local(values, true, deployment), error);
        return r < 0 || deploy_watch_is_good(deployment) ? r : EXIT_CODE_FAILED;
}

static int ask_for_pin(DeployWatch *watch, const PinValues *values, Error *error) {
        const Cli *cli = watch->cli;
        _cleanup_free_ char *id = NULL;
        bool changed;
        int r;

        r = bus_client_pin_local(watch->bus, values->target.app, values->version, values->reason, &changed,
                                 &id, error);
        if (r < 0)
                return r;
        cli_say(cli, "%s on this instance: %spinned to %s", values->target.app, changed ? "" : "already ",
                values->version);
        if (*id && values->wait)
                return follow_local(watch, values, id, error);
        if (cli->json)
                return output_json(cli, describe_local(values, changed, NULL), error);
        if (changed)
                cli_say(cli, "muster status says how it goes there");
        return 0;
}

static int pin_local(Cli *cli, PinValues *values, char *const *words, Error *error) {
        _cleanup_bus_ sd_bus *bus = NULL;
        DeployWatch watch;
        int r;

        r = take_local_words(values, true, words, "muster pin --local APP VERSION --reason TEXT", error);
        if (r >= 0)
                r = bus_client_open(&bus, error);
        if (r >= 0)
                r = deploy_watch_open(&watch, cli, bus, values->target.app, error);
        return r < 0 ? r : ask_for_pin(&watch, values, error);
}

static int unpin_local(Cli *cli, PinValues *values, char *const *words, Error *error) {
        _cleanup_bus_ sd_bus *bus = NULL;
        bool changed;
        int r;

        r = take_local_words(values, false, words, "muster unpin --local APP", error);
        if (r >= 0)
                r = bus_client_open(&bus, error);
        if (r >= 0)
                r = bus_client_unpin_local(bus, values->target.app, &changed, error);
        if (r < 0)
                return r;
        if (cli->json)
                return output_json(cli, describe_local(values, changed, NULL), error);
        cli_say(cli, "%s on this instance: %s, follows its group", values->target.app,
                changed ? "unpinned" : "not pinned");
        return 0;
}

/* Groups */

static int open_group(TargetChange *change, Cli *cli, const PinValues *values, Error *error) {
        int r;

        r = target_change_open(change, cli, &values->target, error);
        if (r >= 0)
                r = target_change_take_key(change, error);
        return r < 0 ? r : target_change_read_present(change, error);
}

static int pin_to_release(TargetChange *change, const PinValues *values, const char *reason, Error *error) {
        const TargetEdit edit = { .pinned = true, .urgent = values->urgent, .reason = reason };
        int r;

        r = target_change_write(change, &edit, error);
        return r < 0 ? r
                     : target_change_tell(change, change->changed ? "pinned to" : "already pinned to", error);
}

#define PIN_USAGE "muster pin APP GROUP VERSION --reason TEXT"

static int run_pin(Cli *cli, void *values, char **arguments, Error *error) {
        PinValues *given = values;
        _cleanup_target_change_ TargetChange change = {};
        int r;

        if (given->local)
                return pin_local(cli, given, arguments, error);
        r = take_group_words(given, true, arguments, PIN_USAGE, error);
        if (r >= 0)
                r = open_group(&change, cli, given, error);
        if (r >= 0)
                r = target_change_get_release(&change, given->version, NULL, error);
        return r < 0 ? r : pin_to_release(&change, given, given->reason, error);
}

/* Whatever the pin took the group away from stays away: only a target that is set says otherwise. */
static int run_unpin(Cli *cli, void *values, char **arguments, Error *error) {
        PinValues *given = values;
        _cleanup_target_change_ TargetChange change = {};
        TargetEdit edit = {};
        int r;

        if (given->local)
                return unpin_local(cli, given, arguments, error);
        r = take_group_words(given, false, arguments, "muster unpin APP GROUP", error);
        if (r >= 0)
                r = open_group(&change, cli, given, error);
        if (r < 0)
                return r;
        if (change.present->pinned) {
                edit.version = change.present->stable.version;
                edit.release_sha256 = change.present->stable.sha256;
                r = target_change_write(&change, &edit, error);
        } else {
                change.next = TAKE_PTR(change.present);
        }
        return r < 0 ? r
                     : target_change_tell(&change,
                                          change.changed ? "unpinned, stays at" : "not pinned, stays at",
                                          error);
}

/* Where a rollback goes: out of a rollout to the stable release, else to the one before it. Never on from a pin, which is
 * what a rollback leaves behind: the release before that one is the one that was bad. */
static int find_rollback(const Target *present, const TargetRelease **ret, Error *error) {
        const TargetRelease *to = present->candidate.version ? &present->stable : &present->previous;
        const char *app = present->app, *group = present->group;

        if (present->pinned)
                return error_set_fault(
                        error, -EEXIST, FAULT_INPUT,
                        "%s in %s is pinned to %s already%s%s: say where to go, muster pin %s %s VERSION",
                        app, group, present->stable.version, to->version ? ", it came from " : "",
                        to->version ?: "", app, group);
        if (!to->version)
                return error_set_fault(
                        error, -ENOENT, FAULT_INPUT,
                        "the target of %s in %s knows no release before %s: say which one, muster pin %s %s VERSION",
                        app, group, present->stable.version, app, group);
        *ret = to;
        return 0;
}

/* A group that was set to an older release by hand has the newer one as the release before. Where the present release
 * cannot be verified (it may be why one goes back) that is not known, and does not matter. */
static int check_is_back(TargetChange *change, Error *error) {
        const Target *present = change->present;
        _cleanup_release_ Release *back = TAKE_PTR(change->release);
        Error problem = {};
        bool newer;
        int r;

        r = target_change_get_release(change, present->stable.version, present->stable.sha256, &problem);
        if (r < 0 && problem.fault == FAULT_HOST) {
                *error = problem;
                return r;
        }
        newer = r >= 0 && back->created > change->release->created;
        if (newer)
                return error_set_fault(
                        error, -EEXIST, FAULT_INPUT,
                        "the release before %s, %s, is the newer one: if you want it, muster pin %s %s %s",
                        present->stable.version, back->version, present->app, present->group, back->version);
        release_free(change->release);
        change->release = TAKE_PTR(back);
        return 0;
}

static int run_rollback(Cli *cli, void *values, char **arguments, Error *error) {
        PinValues *given = values;
        _cleanup_target_change_ TargetChange change = {};
        const TargetRelease *to = NULL;
        char reason[256];
        int r;

        r = take_group_words(given, false, arguments, "muster rollback APP GROUP", error);
        if (r >= 0)
                r = open_group(&change, cli, given, error);
        if (r >= 0)
                r = find_rollback(change.present, &to, error);
        if (r >= 0)
                r = target_change_get_release(&change, to->version, to->sha256, error);
        if (r >= 0 && to == &change.present->previous)
                r = check_is_back(&change, error);
        if (r < 0)
                return r;
        snprintf(reason, sizeof(reason), "rollback from %s",
                 change.present->candidate.version ?: change.present->stable.version);
        return pin_to_release(&change, given, given->reason ?: reason, error);
}

/* Tables */

#define URGENT_OPTION                                                                                        \
        {                                                                                                    \
                .name = "urgent", .type = OPTION_FLAG, OPTION_INTO(PinValues, urgent),                       \
                .help = "all instances at once, whatever max_parallel the target has"                        \
        }

#define LOCAL_OPTION(what)                                                                                   \
        { .name = "local", .type = OPTION_FLAG, OPTION_INTO(PinValues, local), .help = what }

#define REASON_OPTION(what, is_required)                                                                     \
        {                                                                                                    \
                .name = "reason", .type = OPTION_LINE, OPTION_INTO(PinValues, reason), .value = "TEXT",      \
                .help = what, .required = is_required                                                        \
        }

static const Option pin_options[] = {
        LOCAL_OPTION("this instance only, at a version that lies on it"),
        REASON_OPTION("why, for everybody who looks at the group", true),
        URGENT_OPTION,
        { .name = "wait",
          .type = OPTION_SWITCH,
          OPTION_INTO(PinValues, wait),
          .help = "with --local, follow it until the version serves; --no-wait does not",
          .initial = "yes" },
        PLACE_OPTIONS(PinValues, target.app, target.group),
        FORCE_OPTION(PinValues, target),
        SIGNING_OPTIONS(PinValues, target),
        OPTION_END,
};

const Command command_pin = {
        .name = "pin",
        .heading = "When something is wrong",
        .summary = "hold a group at a version until it is unpinned",
        .description =
                "The release is verified first, and must not be below the target's release_floor. Instances that have it "
                "still go there from their own disk, without a download. A version that failed on an instance is tried "
                "once more. Until \"muster unpin\" nothing else can be set.\n\n"
                "With --local, root holds one instance at a version that lies on it, through restarts, whatever its "
                "group is told. No depot and no key is needed.",
        .arguments = "APP [GROUP] VERSION",
        .arguments_max = 3,
        .options = pin_options,
        .values_size = sizeof(PinValues),
        .examples =
                (const Example[]){
                        { "Back to 1.4.1, now.",
                          "muster pin api prod 1.4.1 --reason \"1.4.2 loses orders\" --urgent --key target.key" },
                        { "This instance stays where it is while it is looked into.",
                          "sudo muster pin --local api 1.4.2 --reason \"heap dump for OPS-17\"" },
                        {},
                },
        .run = run_pin,
};

static const Option unpin_options[] = {
        LOCAL_OPTION("this instance only"),
        PLACE_OPTIONS(PinValues, target.app, target.group),
        SIGNING_OPTIONS(PinValues, target),
        OPTION_END,
};

const Command command_unpin = {
        .name = "unpin",
        .summary = "let a group be set again",
        .description =
                "Nothing moves: the group stays at the version that it was pinned to, as its stable release, until "
                "\"muster target set\" says otherwise. Where it was before the pin is forgotten, so that a later rollback "
                "does not lead there.",
        .arguments = "APP [GROUP]",
        .arguments_max = 2,
        .options = unpin_options,
        .values_size = sizeof(PinValues),
        .examples =
                (const Example[]){
                        { "The fix is ready.",
                          "muster unpin api prod --key target.key && \\\n"
                          "muster target set --app api --group prod --version 1.4.3 --key target.key" },
                        { "This instance follows its group again.", "sudo muster unpin --local api" },
                        {},
                },
        .run = run_unpin,
};

static const Option rollback_options[] = {
        REASON_OPTION("why (otherwise: rollback from the version)", false),
        URGENT_OPTION,
        PLACE_OPTIONS(PinValues, target.app, target.group),
        SIGNING_OPTIONS(PinValues, target),
        OPTION_END,
};

const Command command_rollback = {
        .name = "rollback",
        .summary = "pin a group to the release before",
        .description =
                "The release before is what was stable before the last \"muster target set\"; during a rollout it is the "
                "stable one. A rollback leaves a pin behind, and never goes on from a pin, nor to a release that is newer "
                "than the present one: then say the version with \"muster pin\".",
        .arguments = "APP GROUP",
        .arguments_max = 2,
        .options = rollback_options,
        .values_size = sizeof(PinValues),
        .examples =
                (const Example[]){
                        { "The new version is bad.", "muster rollback api prod --key target.key" },
                        { "All instances at once, and say why.",
                          "muster rollback api prod --reason \"1.4.2 loses orders\" --urgent --key target.key" },
                        {},
                },
        .run = run_rollback,
};
