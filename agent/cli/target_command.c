#include <string.h>

#include "agent/base/parse.h"
#include "agent/cli/documents.h"
#include "agent/cli/key_source.h"
#include "agent/cli/output.h"
#include "agent/cli/shared_options.h"
#include "agent/cli/show_command.h"
#include "agent/cli/target_command.h"
#include "agent/cli/target_edit.h"
#include "artifacts/layout.h"

#define TARGET_KEY_VARIABLE "MUSTER_TARGET_KEY"
#define FRESHNESS_KEY_VARIABLE "MUSTER_FRESHNESS_KEY"
#define FRESH_FOR_DEFAULT "7d"

/* One structure for the three: each has a part of its options. */
typedef struct TargetValues {
        const char *app;
        const char *group;
        const char *version;
        const char *root;
        const char *key;
        const char *freshness_key;
        OptionNumber fresh_for;
        OptionNumber expect_serial;
        char **set;
        char **unset;
        bool force;
        DepotValues depot;
} TargetValues;

/* What the three open first. */
typedef struct TargetContext {
        Cli *cli;
        const TargetValues *values;
        Key *key; /* set only */
        DepotAccess access;
        TrustRoot *root;
        uint64_t now;
} TargetContext;

static void target_context_deinit(TargetContext *context) {
        depot_access_deinit(&context->access);
        trust_root_free(context->root);
        key_free(context->key);
}
#define _cleanup_target_context_ _cleanup_(target_context_deinit)

static int target_context_init(TargetContext *context, Cli *cli, const TargetValues *values, Error *error) {
        int r;

        *context = (TargetContext){ .cli = cli, .values = values, .now = clock_realtime(cli->clock) };
        r = trust_root_read(values->root, &context->root, error);
        return r < 0 ? r : depot_access_open(&values->depot, &context->access, error);
}

/* Freshness */

static bool has_freshness_key(const TargetValues *values) {
        const char *text = getenv(FRESHNESS_KEY_VARIABLE);

        return values->freshness_key || (text && *text);
}

static bool root_asks_for_freshness(const TrustRoot *root) {
        uint64_t threshold;
        size_t n;

        (void) trust_root_keys(root, TRUST_ROLE_FRESHNESS, &n, &threshold);
        return n > 0;
}

static int sign_freshness(const TargetContext *context, const Target *target, char **ret, size_t *ret_size,
                          Error *error) {
        const TargetValues *values = context->values;
        _cleanup_freshness_ Freshness *check = NULL;
        _cleanup_key_ Key *key = NULL;
        _cleanup_free_ char *payload = NULL;
        Freshness freshness = { .app = target->app,
                                .group = target->group,
                                .serial = target->serial,
                                .issued = context->now,
                                .expires = usec_add(context->now, values->fresh_for.value) };
        size_t size;
        int r;

        memcpy(freshness.target_sha256, target->sha256, sizeof(freshness.target_sha256));
        r = key_source_private(values->freshness_key, FRESHNESS_KEY_VARIABLE, "freshness-key", &key, error);
        if (r >= 0)
                r = freshness_to_json(&freshness, &payload, &size, error);
        if (r >= 0)
                r = dsse_sign(FRESHNESS_TYPE, payload, size, &key, 1, ret, ret_size, error);
        if (r < 0)
                return r;
        return freshness_open(context->root, *ret, *ret_size, context->now, target->app, target->group,
                              &check, error);
}

static void fresh_until(const TargetContext *context, char ret[static TIME_TEXT_MAX]) {
        format_time(usec_add(context->now, context->values->fresh_for.value), ret);
}

static int write_freshness(const TargetContext *context, const Target *target, Error *error) {
        _cleanup_free_ char *envelope = NULL;
        char key[LAYOUT_KEY_MAX], until[TIME_TEXT_MAX];
        size_t size;
        int r;

        r = sign_freshness(context, target, &envelope, &size, error);
        if (r >= 0)
                r = layout_freshness(target->app, target->group, key, error);
        if (r >= 0)
                r = depot_access_put(&context->access, key, envelope, size, DEPOT_ALWAYS, NULL, error);
        if (r < 0)
                return r;
        fresh_until(context, until);
        cli_say(context->cli, "fresh until %s", until);
        return 0;
}

/* Setting */

/* What is there now. */
typedef struct Present {
        StoredDocument stored;
        uint8_t *payload; /* NULL: no target yet */
        size_t size;
        Target *target;
} Present;

static void present_deinit(Present *present) {
        stored_document_deinit(&present->stored);
        free(present->payload);
        target_free(present->target);
}
#define _cleanup_present_ _cleanup_(present_deinit)

/* With --force a target that the trust root does not accept (its key was withdrawn) is taken for what it says. */
static int open_present(const TargetContext *context, Present *present, Error *error) {
        const TargetValues *values = context->values;
        int r;

        r = documents_payload("target", &present->stored, &present->payload, &present->size, error);
        if (r >= 0)
                r = target_open(context->root, present->stored.envelope, present->stored.size, context->now,
                                values->app, values->group, &present->target, error);
        if (r < 0 && values->force && present->payload)
                r = target_parse(present->payload, present->size, &present->target, error);
        return r;
}

static int read_present(const TargetContext *context, Present *present, Error *error) {
        const TargetValues *values = context->values;
        uint64_t serial;
        int r;

        r = documents_read_target(&context->access, values->app, values->group, &present->stored, error);
        if (r >= 0 && present->stored.envelope)
                r = open_present(context, present, error);
        if (r < 0)
                return r;
        serial = present->target ? present->target->serial : 0;
        if (values->expect_serial.given && values->expect_serial.value != serial)
                return error_set_fault(error, -ESTALE, FAULT_INPUT,
                                       "the target of %s in %s has serial %llu, not %llu as expected",
                                       values->app, values->group, (unsigned long long) serial,
                                       (unsigned long long) values->expect_serial.value);
        return 0;
}

/* RET_PAYLOAD is what is to be signed. */
static int make_next(const TargetContext *context, const Present *present, const Release *release,
                     char **ret_payload, size_t *ret_size, Target **ret, Error *error) {
        const TargetValues *values = context->values;
        TargetEdit edit = { .app = values->app,
                            .group = values->group,
                            .serial = present->target ? present->target->serial + 1 : 1,
                            .issued = context->now,
                            .version = release->version,
                            .release_sha256 = release->sha256,
                            .set = values->set,
                            .unset = values->unset };
        int r;

        r = target_edit(&edit, present->payload, present->size, ret_payload, ret_size, error);
        if (r >= 0)
                r = target_parse(*ret_payload, *ret_size, ret, error);
        if (r >= 0 && present->target)
                r = target_check_successor(present->target, *ret, error);
        return r < 0 ? r : target_check_release(*ret, release, error);
}

/* Signs and makes sure that the instances will believe it: the key may be another role's. */
static int sign_target(const TargetContext *context, const char *payload, size_t size, char **ret,
                       size_t *ret_size, Error *error) {
        const TargetValues *values = context->values;
        _cleanup_target_ Target *check = NULL;
        Key *const keys[] = { context->key };
        int r;

        r = dsse_sign(TARGET_TYPE, payload, size, keys, ELEMENTSOF(keys), ret, ret_size, error);
        if (r < 0)
                return r;
        r = target_open(context->root, *ret, *ret_size, context->now, values->app, values->group, &check,
                        error);
        if (r < 0)
                error_prefix(error, "signed with key %.12s", key_id(context->key));
        return r;
}

static int put_target(const TargetContext *context, const Present *present, const char *envelope, size_t size,
                      Error *error) {
        const TargetValues *values = context->values;
        char key[LAYOUT_KEY_MAX];
        int r;

        r = layout_target(values->app, values->group, key, error);
        if (r >= 0)
                r = depot_access_put(&context->access, key, envelope, size,
                                     present->payload ? DEPOT_MATCH : DEPOT_CREATE, present->stored.etag,
                                     error);
        if (r > 0)
                return error_set_fault(
                        error, -ESTALE, FAULT_INPUT,
                        "somebody else set the target of %s in %s meanwhile: look at it and try again",
                        values->app, values->group);
        return r;
}

static int tell(const TargetContext *context, const Target *target, bool changed, Error *error) {
        Cli *cli = context->cli;

        if (cli->json)
                return output_json(cli,
                                   json_pack("{s:s, s:s, s:I, s:s, s:s, s:b}", "app", target->app, "group",
                                             target->group, "serial", (json_int_t) target->serial, "version",
                                             target->stable.version, "sha256", target->sha256, "changed",
                                             changed),
                                   error);
        cli_say(cli, "%s in %s: %s %s (serial %llu)", target->app, target->group, changed ? "now" : "already",
                target->stable.version, (unsigned long long) target->serial);
        if (changed && root_asks_for_freshness(context->root) && !has_freshness_key(context->values))
                cli_say(cli, "instances wait for: muster target refresh --app %s --group %s", target->app,
                        target->group);
        return 0;
}

static int set_target(const TargetContext *context, Error *error) {
        const TargetValues *values = context->values;
        _cleanup_free_ char *payload = NULL, *envelope = NULL;
        _cleanup_release_ Release *release = NULL;
        _cleanup_target_ Target *next = NULL;
        _cleanup_present_ Present present = {};
        size_t payload_size, size;
        bool changed;
        int r;

        r = documents_get_release(&context->access, context->root, context->now, values->app, values->version,
                                  NULL, &release, error);
        if (r >= 0)
                r = read_present(context, &present, error);
        if (r >= 0)
                r = make_next(context, &present, release, &payload, &payload_size, &next, error);
        if (r < 0)
                return r;
        changed = !present.payload ||
                  !target_says_the_same(present.payload, present.size, payload, payload_size);
        if (changed) {
                r = sign_target(context, payload, payload_size, &envelope, &size, error);
                if (r >= 0)
                        r = put_target(context, &present, envelope, size, error);
        }
        if (r >= 0)
                r = tell(context, changed ? next : present.target, changed, error);
        if (r >= 0 && has_freshness_key(values))
                r = write_freshness(context, changed ? next : present.target, error);
        return r;
}

static int run_set(Cli *cli, void *values, _unused_ char **arguments, Error *error) {
        const TargetValues *given = values;
        _cleanup_target_context_ TargetContext context = {};
        int r;

        r = target_context_init(&context, cli, given, error);
        if (r >= 0)
                r = key_source_private(given->key, TARGET_KEY_VARIABLE, "key", &context.key, error);
        return r < 0 ? r : set_target(&context, error);
}

#define FRESHNESS_OPTIONS                                                                                    \
        { .name = "freshness-key",                                                                           \
          .type = OPTION_PATH,                                                                               \
          OPTION_INTO(TargetValues, freshness_key),                                                          \
          .value = "FILE",                                                                                   \
          .help = "private key of the role freshness (or the PEM text in MUSTER_FRESHNESS_KEY)",             \
          .environment = "MUSTER_FRESHNESS_KEY_FILE" },                                                      \
        {                                                                                                    \
                .name = "fresh-for", .type = OPTION_DURATION, OPTION_INTO(TargetValues, fresh_for),          \
                .value = "TIME", .help = "how long instances may believe the target from now on",            \
                .initial = FRESH_FOR_DEFAULT                                                                 \
        }

static const Option set_options[] = {
        APP_OPTION(TargetValues, app),
        GROUP_OPTION(TargetValues, group),
        VERSION_OPTION(TargetValues, version, true),
        { .name = "env",
          .letter = 'e',
          .type = OPTION_LIST,
          OPTION_INTO(TargetValues, set),
          .value = "NAME=VALUE",
          .help = "set an environment variable of the group, over the release's; may be repeated" },
        { .name = "unset-env",
          .type = OPTION_LIST,
          OPTION_INTO(TargetValues, unset),
          .value = "NAME",
          .help = "remove an environment variable of the group; may be repeated" },
        { .name = "expect-serial",
          .type = OPTION_NUMBER,
          OPTION_INTO(TargetValues, expect_serial),
          .value = "N",
          .help = "refuse (exit 6) unless the target that is there has this serial; 0: there is none" },
        { .name = "force",
          .type = OPTION_FLAG,
          OPTION_INTO(TargetValues, force),
          .help = "replace a target whose signature the trust root does not accept" },
        { .name = "key",
          .letter = 'k',
          .type = OPTION_PATH,
          OPTION_INTO(TargetValues, key),
          .value = "FILE",
          .help = "private key of the role target (or the PEM text in MUSTER_TARGET_KEY)",
          .environment = "MUSTER_TARGET_KEY_FILE" },
        FRESHNESS_OPTIONS,
        ROOT_OPTION(TargetValues, root),
        DEPOT_OPTIONS(TargetValues, depot),
        OPTION_END,
};

static const Command command_target_set = {
        .name = "set",
        .summary = "say which version a group runs",
        .description =
                "The release is verified first. Environment variables and all else that the group's target says "
                "stay as they are; its serial goes up by one. Whoever sets the same target at the same time "
                "is told (exit 6), and nothing is lost.",
        .options = set_options,
        .values_size = sizeof(TargetValues),
        .examples =
                (const Example[]){
                        { "Run 1.4.2 in production.",
                          "muster target set --app api --group prod --version 1.4.2 --key target.key" },
                        { "With another setting, and only if nobody changed anything since serial 17.",
                          "muster target set --app api --group prod --version 1.4.2 --env LOG_LEVEL=debug \\\n"
                          "--expect-serial 17" },
                        {},
                },
        .run = run_set,
};

/* Refreshing */

static const Option refresh_options[] = {
        APP_OPTION(TargetValues, app),   GROUP_OPTION(TargetValues, group),  FRESHNESS_OPTIONS,
        ROOT_OPTION(TargetValues, root), DEPOT_OPTIONS(TargetValues, depot), OPTION_END,
};

static int run_refresh(Cli *cli, void *values, _unused_ char **arguments, Error *error) {
        const TargetValues *options = values;
        _cleanup_target_context_ TargetContext context = {};
        _cleanup_target_ Target *target = NULL;
        char until[TIME_TEXT_MAX];
        int r;

        r = target_context_init(&context, cli, options, error);
        if (r >= 0)
                r = documents_get_target(&context.access, context.root, context.now, options->app,
                                         options->group, &target, error);
        if (r >= 0)
                r = write_freshness(&context, target, error);
        if (r < 0 || !cli->json)
                return r;
        fresh_until(&context, until);
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
        .values_size = sizeof(TargetValues),
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
