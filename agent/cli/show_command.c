#include <string.h>

#include "agent/base/parse.h"
#include "agent/base/utf8.h"
#include "agent/cli/documents.h"
#include "agent/cli/failure_command.h"
#include "agent/cli/output.h"
#include "agent/cli/register_access.h"
#include "agent/cli/shared_options.h"
#include "agent/cli/show_command.h"
#include "agent/cli/table.h"

typedef struct ShowValues {
        const char *app;
        const char *group;
        const char *version;
        const char *root;
        DepotValues depot;
} ShowValues;

/* {"sha256": "...", NAME: the document} */
static int print_document(const Cli *cli, const char *name, const char *sha256,
                          const StoredDocument *document, Error *error) {
        _cleanup_free_ uint8_t *payload = NULL;
        json_t *value = NULL;
        size_t size;
        int r;

        r = documents_payload(name, document, &payload, &size, error);
        if (r >= 0)
                r = json_read(name, payload, size, size, &value, error);
        return r < 0 ? r : output_json(cli, json_pack("{s:s, s:o}", "sha256", sha256, name, value), error);
}

/* A value may hold anything: lines of it and what a terminal would obey are not shown as such. */
static void print_environment(FILE *stream, const DocumentEnvironment *env) {
        for (size_t i = 0; i < env->n; i++) {
                _cleanup_free_ char *value = strdup(env->items[i].value);

                if (!value)
                        return;
                utf8_make_printable(value, strlen(value));
                for (char *p = value; (p = strchr(p, '\n'));)
                        *p = '?';
                fprintf(stream, "%s%s=%s\n", i == 0 ? "\nenv\n  " : "  ", env->items[i].name, value);
        }
}

/* Releases */

static int print_artifacts(const Cli *cli, const Release *release) {
        _cleanup_table_ Table table = { .n_columns = 6 };
        int r;

        r = table_add(&table, TABLE_ROW("PLATFORM", "FORMAT", "SIZE", "UNPACKED", "ENTRIES", "SHA256"));
        for (size_t i = 0; i < release->artifacts.n && r >= 0; i++) {
                const ReleaseArtifact *artifact = &release->artifacts.items[i];
                char size[SIZE_TEXT_MAX], unpacked[SIZE_TEXT_MAX], entries[24];

                format_size(artifact->size, size);
                format_size(artifact->unpacked_size, unpacked);
                snprintf(entries, sizeof(entries), "%llu", (unsigned long long) artifact->entries);
                r = table_add(&table,
                              TABLE_ROW(artifact->platform, archive_format_to_string(artifact->format), size,
                                        unpacked, entries, artifact->sha256));
        }
        if (r < 0)
                return r;
        fputc('\n', cli->out);
        table_print(&table, cli->out, &cli->out_style);
        return 0;
}

static void print_hooks(FILE *stream, const Release *release) {
        const char *heading = "\nhooks\n";

        for (LifecycleEvent event = 0; event < LIFECYCLE_EVENT_COUNT; event++)
                for (size_t i = 0; i < release->hooks[event].n; i++) {
                        const ReleaseHook *hook = &release->hooks[event].items[i];
                        char timeout[DURATION_TEXT_MAX];

                        format_duration(hook->timeout, timeout);
                        fprintf(stream, "%s  %s: %s", heading, lifecycle_event_to_string(event),
                                hook->location);
                        for (size_t k = 0; k < hook->args.n; k++)
                                fprintf(stream, " %s", hook->args.items[k]);
                        fprintf(stream, " (as %s, at most %s)\n", hook->runas ?: "root", timeout);
                        heading = "";
                }
}

static void print_units(FILE *stream, const Release *release) {
        for (size_t i = 0; i < release->units.n; i++) {
                const ReleaseUnit *unit = &release->units.items[i];

                fprintf(stream, "%s%s%s%s: %s\n", i == 0 ? "\nunits\n  " : "  ", unit->name,
                        unit->file ? " from " : "", unit->file ?: "",
                        release_on_deploy_to_string(unit->on_deploy));
        }
}

static void print_health(FILE *stream, const Release *release) {
        for (size_t i = 0; i < release->health.n; i++) {
                const ReleaseHealth *check = &release->health.items[i];
                char deadline[DURATION_TEXT_MAX];

                format_duration(check->deadline, deadline);
                fprintf(stream, "%s%s ", i == 0 ? "\nhealth\n  " : "  ",
                        release_health_type_to_string(check->type));
                if (check->command.n > 0)
                        fputs(check->command.items[0], stream);
                else
                        fputs(check->url ?: check->address ?: check->unit ?: "-", stream);
                fprintf(stream, " within %s\n", deadline);
        }
}

static void print_origins(FILE *stream, const Release *release) {
        for (size_t i = 0; i < release->artifacts.n; i++) {
                const ReleaseOrigin *origin = &release->artifacts.items[i].origin;

                if (origin->bucket)
                        fprintf(stream, "%s was s3://%s/%s%s%s\n", release->artifacts.items[i].platform,
                                origin->bucket, origin->key, origin->version_id ? ", version " : "",
                                origin->version_id ?: "");
        }
        if (release->commit)
                fprintf(stream, "built from commit %s\n", release->commit);
}

static int print_release(const Cli *cli, const Release *release, Error *error) {
        char created[TIME_TEXT_MAX];

        format_time(release->created, created);
        fprintf(cli->out, "%s%s %s%s, created %s\nsha256 %s\n", cli->out_style.strong, release->app,
                release->version, cli->out_style.off, created, release->sha256);
        if (print_artifacts(cli, release) < 0)
                return error_oom(error);
        print_origins(cli->out, release);
        print_hooks(cli->out, release);
        print_units(cli->out, release);
        print_health(cli->out, release);
        print_environment(cli->out, &release->env);
        return 0;
}

static int run_show_release(Cli *cli, void *values, _unused_ char **arguments, Error *error) {
        const ShowValues *options = values;
        _cleanup_stored_document_ StoredDocument document = {};
        _cleanup_depot_access_ DepotAccess access = {};
        _cleanup_trust_root_ TrustRoot *root = NULL;
        _cleanup_release_ Release *release = NULL;
        int r;

        r = trust_root_read(options->root, &root, error);
        if (r >= 0)
                r = depot_access_open(&options->depot, &access, error);
        if (r >= 0)
                r = documents_read_release(&access, options->app, options->version, &document, error);
        if (r >= 0 && !document.envelope)
                r = documents_no_release(&access, options->app, options->version, error);
        if (r >= 0)
                r = release_open(root, document.envelope, document.size, clock_realtime(cli->clock),
                                 options->app, options->version, NULL, &release, error);
        if (r < 0)
                return r;
        return cli->json ? print_document(cli, "release", release->sha256, &document, error)
                         : print_release(cli, release, error);
}

static const Option release_options[] = {
        APP_OPTION(ShowValues, app),
        VERSION_OPTION(ShowValues, version, true),
        ROOT_OPTION(ShowValues, root),
        DEPOT_OPTIONS(ShowValues, depot),
        OPTION_END,
};

static const Command command_show_release = {
        .name = "release",
        .summary = "print what a version of an app is made of",
        .options = release_options,
        .values_size = sizeof(ShowValues),
        .examples =
                (const Example[]){
                        { "What is in 1.4.2?", "muster show release --app api --version 1.4.2" },
                        {},
                },
        .run = run_show_release,
};

/* Targets */

static void print_target_release(FILE *stream, const char *label, const TargetRelease *release) {
        if (release->version)
                fprintf(stream, "%-10s %s  sha256 %s\n", label, release->version, release->sha256);
}

static void print_freezes(FILE *stream, const Target *target) {
        for (size_t i = 0; i < target->freeze.n; i++) {
                const TargetFreeze *freeze = &target->freeze.items[i];
                char from[TIME_TEXT_MAX], until[TIME_TEXT_MAX];

                format_time(freeze->from, from);
                format_time(freeze->until, until);
                fprintf(stream, "%-10s from %s until %s%s%s\n", "freeze", from, until,
                        freeze->reason ? ": " : "", freeze->reason ?: "");
        }
}

static void print_target(const Cli *cli, const Target *target, const char *rollout, const char *fresh) {
        char issued[TIME_TEXT_MAX];

        format_time(target->issued, issued);
        fprintf(cli->out, "%s%s in %s%s, serial %llu, issued %s%s\n", cli->out_style.strong, target->app,
                target->group, cli->out_style.off, (unsigned long long) target->serial, issued,
                target->pinned && target->urgent ? ", urgent" : "");
        if (target->pinned)
                fprintf(cli->out, "%-10s %s\n", "pinned", target->reason ?: "for no reason that was given");
        print_target_release(cli->out, "stable", &target->stable);
        print_target_release(cli->out, "candidate", &target->candidate);
        print_target_release(cli->out, "previous", &target->previous);
        if (target->rollout.id)
                fprintf(cli->out, "%-10s %s: %s\n", "rollout", target->rollout.id, rollout);
        print_freezes(cli->out, target);
        fprintf(cli->out, "%-10s %s\n", "fresh", fresh);
        print_environment(cli->out, &target->env);
}

/* "until ...", or why it is not. */
static int describe_freshness(const DepotAccess *access, const TrustRoot *root, const Target *target,
                              uint64_t now, char *ret, size_t size, Error *error) {
        _cleanup_stored_document_ StoredDocument document = {};
        _cleanup_freshness_ Freshness *freshness = NULL;
        char until[TIME_TEXT_MAX];
        Error why = {};
        uint64_t threshold;
        size_t n;
        int r;

        (void) trust_root_keys(root, TRUST_ROLE_FRESHNESS, &n, &threshold);
        if (n == 0) {
                snprintf(ret, size, "always: the trust root has no role freshness");
                return 0;
        }
        r = documents_read_freshness(access, target->app, target->group, &document, error);
        if (r < 0)
                return r;
        if (!document.envelope) {
                snprintf(ret, size, "no: never refreshed");
                return 0;
        }
        r = freshness_open(root, document.envelope, document.size, now, target->app, target->group,
                           &freshness, &why);
        if (r >= 0)
                r = freshness_check(freshness, target, now, &why);
        if (r < 0) {
                snprintf(ret, size, "no: %s", why.message);
                return 0;
        }
        format_time(freshness->expires, until);
        snprintf(ret, size, "until %s", until);
        return 0;
}

/* How far it is, or why that is not known. */
static int describe_rollout(const DepotAccess *access, const Target *target,
                            char ret[static REGISTER_SENTENCE_MAX], Error *error) {
        _cleanup_(register_op_freep) RegisterOp *op = NULL;
        RolloutPlan plan;
        RegisterSite site;
        int r;

        rollout_plan_make(target, &plan);
        site = register_access_site(access, &plan, NULL);
        r = plan.staged ? register_access_read(&site, &op, error) : 0;
        if (r == -ENOENT || r == -EBADMSG)
                snprintf(ret, REGISTER_SENTENCE_MAX, "its register is %s: nothing moves",
                         r == -ENOENT ? "missing" : "unreadable");
        else if (op)
                register_describe(register_op_register(op), &plan, register_op_time(op), ret);
        return r < 0 && r != -ENOENT && r != -EBADMSG ? r : 0;
}

static int show_target(const Cli *cli, const DepotAccess *access, const TrustRoot *root,
                       const ShowValues *options, Error *error) {
        uint64_t now = clock_realtime(cli->clock);
        _cleanup_stored_document_ StoredDocument document = {};
        _cleanup_target_ Target *target = NULL;
        char fresh[ERROR_MESSAGE_MAX + 8], rollout[REGISTER_SENTENCE_MAX] = "";
        int r;

        r = documents_read_target(access, options->app, options->group, &document, error);
        if (r >= 0 && !document.envelope)
                r = documents_no_target(access, options->app, options->group, error);
        if (r >= 0)
                r = target_open(root, document.envelope, document.size, now, options->app, options->group,
                                &target, error);
        if (r < 0)
                return r;
        if (cli->json)
                return print_document(cli, "target", target->sha256, &document, error);
        r = describe_freshness(access, root, target, now, fresh, sizeof(fresh), error);
        if (r >= 0)
                r = describe_rollout(access, target, rollout, error);
        if (r >= 0)
                print_target(cli, target, rollout, fresh);
        return r;
}

static int run_show_target(Cli *cli, void *values, _unused_ char **arguments, Error *error) {
        const ShowValues *options = values;
        _cleanup_depot_access_ DepotAccess access = {};
        _cleanup_trust_root_ TrustRoot *root = NULL;
        int r;

        r = trust_root_read(options->root, &root, error);
        if (r >= 0)
                r = depot_access_open(&options->depot, &access, error);
        return r < 0 ? r : show_target(cli, &access, root, options, error);
}

static const Option target_options[] = {
        APP_OPTION(ShowValues, app),
        GROUP_OPTION(ShowValues, group),
        ROOT_OPTION(ShowValues, root),
        DEPOT_OPTIONS(ShowValues, depot),
        OPTION_END,
};

#define SHOW_TARGET                                                                                          \
        .summary = "print what a group should run", .options = target_options,                               \
        .values_size = sizeof(ShowValues), .run = run_show_target

const Command command_target_show = {
        .name = "show",
        SHOW_TARGET,
        .examples =
                (const Example[]){
                        { "What should production run?", "muster target show --app api --group prod" },
                        {},
                },
};

static const Command command_show_target = {
        .name = "target",
        SHOW_TARGET,
        .examples =
                (const Example[]){
                        { "The serial, for a later --expect-serial.",
                          "muster show target --app api --group prod --json | jq .target.serial" },
                        {},
                },
};

const Command command_show = {
        .name = "show",
        .summary = "print releases, targets, and why instances failed",
        .verbs =
                (const Command *const[]){
                        &command_show_release,
                        &command_show_target,
                        &command_show_failure,
                        NULL,
                },
};
