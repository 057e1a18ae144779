#include <string.h>
#include <unistd.h>

#include "agent/cli/deploy_watch.h"
#include "agent/cli/migrate_apply.h"
#include "agent/cli/migrate_command.h"
#include "agent/cli/migrate_facts.h"
#include "agent/cli/migrate_view.h"
#include "agent/cli/output.h"
#include "agent/cli/release_source.h"
#include "agent/cli/shared_options.h"
#include "agent/cli/view.h"

typedef struct MigrateValues {
        const char *app;
        const char *version;
        const char *group;
        const char *config;
        const char *appspec;
        bool apply;
} MigrateValues;

/* Whether there is one to be taken over; what muster says against it, as of any folder that is to be published, goes to
 * RET_PROBLEM. */
static int open_revision(const Cli *cli, const MigrateValues *values, const MigrateWish *wish,
                         ReleaseSource *source, char **ret_problem) {
        _cleanup_free_ char *version = migrate_version(wish->group);
        const ReleaseRequest request = { .app = values->app ?: "app",
                                         .version = values->version ?: version,
                                         .path = wish->group->archive,
                                         .in_use = true,
                                         .appspec = values->appspec };
        Error problem;
        int r;

        *ret_problem = NULL;
        if (!version)
                return -ENOMEM;
        r = release_source_open(&request, cli, source, &problem);
        if (r >= 0)
                r = bundle_check(&source->bundles[0], &problem);
        if (r >= 0 ||
            (r == -EACCES && source->release)) /* root, who alone can take it over, sees all of it */
                return 0;
        *ret_problem = strdup(problem.message);
        return *ret_problem ? 0 : -ENOMEM;
}

static int print_plan(const Cli *cli, json_t *plan, Error *error) {
        _cleanup_free_ char *text = NULL;
        json_auto_t *printable = NULL;
        int r;

        if (cli->json)
                return output_json(cli, json_incref(plan), error);
        text = json_dumps(plan, JSON_COMPACT);
        if (!text)
                return error_oom(error);
        r = view_parse(text, "the plan", &printable, error);
        if (r >= 0 && !cli->quiet)
                migrate_view(printable, cli->verbose, cli->out, &cli->out_style);
        return r;
}

/* Whether --apply may go on. */
static int check_wish(const MigrateFacts *facts, const MigrateWish *wish, Error *error) {
        if (!wish->app)
                return error_set_fault(error, -EDESTADDRREQ, FAULT_INPUT,
                                       "with --apply, --app says what the app is called");
        if (!wish->group)
                return error_set_fault(
                        error, -EDESTADDRREQ, FAULT_INPUT,
                        "nothing can be taken over, or --deployment-group has to say what: muster "
                        "migrate without --apply has the groups");
        if (wish->bundle_problem)
                return error_set_fault(error, -EBADMSG, FAULT_INPUT, "%s cannot be taken over: %s",
                                       wish->group->last_successful, wish->bundle_problem);
        if (facts->service.active && facts->state.ongoing)
                return error_set(error, -EEXIST, "CodeDeploy's deployment %s is running: wait for its end",
                                 facts->state.ongoing[0]);
        return 0;
}

static int apply(Cli *cli, const MigrateFacts *facts, const MigrateWish *wish, ReleaseSource *source,
                 json_t *plan, Error *error) {
        json_auto_t *deployment = NULL;
        const json_t *warning;
        bool good;
        size_t i;
        int r;

        r = check_wish(facts, wish, error);
        if (r >= 0)
                r = migrate_apply(cli, wish->group, source, &deployment, error);
        if (r < 0)
                return r;
        good = deploy_watch_is_good(deployment);
        if (cli->json)
                r = json_object_set(plan, "applied", deployment) < 0 ? error_oom(error)
                                                                     : print_plan(cli, plan, error);
        else if (good)
                cli_say(cli, "%s: %s is taken over as release %s", wish->app, wish->group->last_successful,
                        source->release->version);
        json_array_foreach(json_object_get(plan, "warnings"), i, warning)
                cli_warn(cli, "%s", json_string_value(warning));
        if (r < 0 || good)
                return r;
        return error_set(error, -EIO, "%s was not taken over: %s", wish->group->last_successful,
                         json_string_value(json_object_get(deployment, "reason"))
                                 ?: "musterd says nothing of why");
}

static int run_migrate(Cli *cli, void *given, _unused_ char **arguments, Error *error) {
        const MigrateValues *values = given;
        _cleanup_(migrate_facts_deinit) MigrateFacts facts = {};
        MigrateWish wish = { .app = values->app, .version = values->version };
        _cleanup_release_source_ ReleaseSource source = {};
        _cleanup_free_ char *problem = NULL;
        json_auto_t *plan = NULL;
        int r;

        r = migrate_read_facts(values->config, &facts, error);
        if (r < 0)
                return r;
        r = migrate_choose(&facts, values->group, &wish.group, error);
        if (r < 0 && (values->group || values->apply))
                return r;
        if (wish.group && open_revision(cli, values, &wish, &source, &problem) < 0)
                return error_oom(error);
        wish.bundle_problem = problem;
        plan = migrate_plan_make(&facts, &wish);
        if (!plan)
                return error_oom(error);
        return values->apply ? apply(cli, &facts, &wish, &source, plan, error) : print_plan(cli, plan, error);
}

static const Option options[] = {
        { .name = "app",
          .letter = 'a',
          .type = OPTION_NAME,
          OPTION_INTO(MigrateValues, app),
          .value = "NAME",
          .help = "what the app is called from now on",
          .environment = "MUSTER_APP" },
        { .name = "deployment-group",
          .letter = 'g',
          .type = OPTION_NAME,
          OPTION_INTO(MigrateValues, group),
          .value = "ID",
          .help = "the id of CodeDeploy's deployment group, where there are several" },
        { .name = "version",
          .type = OPTION_VERSION,
          OPTION_INTO(MigrateValues, version),
          .value = "VERSION",
          .help = "what the revision is called (otherwise codedeploy- and the deployment's id)" },
        { .name = "appspec",
          .type = OPTION_PATH,
          OPTION_INTO(MigrateValues, appspec),
          .value = "FILE",
          .help = "the app's description, instead of the appspec.yml of the revision" },
        { .name = "agent-configuration-file",
          .letter = 'c',
          .type = OPTION_PATH,
          OPTION_INTO(MigrateValues, config),
          .value = "FILE",
          .help = "where CodeDeploy's agent is configured",
          .initial = CODEDEPLOY_CONFIG_PATH },
        { .name = "apply",
          .type = OPTION_FLAG,
          OPTION_INTO(MigrateValues, apply),
          .help = "take over what was deployed last, without touching the running app" },
        OPTION_END,
};

const Command command_migrate = {
        .name = "migrate",
        .summary = "move over from CodeDeploy's agent, or say what that changes",
        .description =
                "Reads CodeDeploy's configuration and what it deployed here, and says what becomes of it. Nothing is "
                "changed. muster-codedeploy(7) has the two concept by concept.",
        .options = options,
        .values_size = sizeof(MigrateValues),
        .examples =
                (const Example[]){
                        { "What would change on this instance?", "sudo muster migrate --app api" },
                        { "Take over what is deployed here.", "sudo muster migrate --app api --apply" },
                        { "The deployment groups that could be taken over, for a script.",
                          "sudo muster migrate --json | jq -r '.groups[] | select(.problem == null).id'" },
                        {},
                },
        .run = run_migrate,
};
