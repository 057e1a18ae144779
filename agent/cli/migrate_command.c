#include <string.h>
#include <unistd.h>

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
} MigrateValues;

/* What muster says of the revision, as of any folder that is to be published. */
static int check_bundle(const Cli *cli, const MigrateValues *values, const CodedeployGroup *group,
                        char **ret) {
        const ReleaseRequest request = { .app = values->app ?: "app",
                                         .version = "0",
                                         .path = group->archive,
                                         .appspec = values->appspec };
        _cleanup_release_source_ ReleaseSource source = {};
        Error problem;

        *ret = NULL;
        if (release_source_open(&request, cli, &source, &problem) >= 0)
                return 0;
        *ret = strdup(problem.message);
        return *ret ? 0 : -ENOMEM;
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

static int run_migrate(Cli *cli, void *given, _unused_ char **arguments, Error *error) {
        const MigrateValues *values = given;
        _cleanup_(migrate_facts_deinit) MigrateFacts facts = {};
        MigrateWish wish = { .app = values->app, .version = values->version };
        _cleanup_free_ char *problem = NULL;
        json_auto_t *plan = NULL;
        int r;

        r = migrate_read_facts(values->config, &facts, error);
        if (r < 0)
                return r;
        r = migrate_choose(&facts, values->group, &wish.group, error);
        if (r < 0 && values->group)
                return r;
        if (wish.group && check_bundle(cli, values, wish.group, &problem) < 0)
                return error_oom(error);
        wish.bundle_problem = problem;
        plan = migrate_plan_make(&facts, &wish);
        return plan ? print_plan(cli, plan, error) : error_oom(error);
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
        OPTION_END,
};

const Command command_migrate = {
        .name = "migrate",
        .summary = "say what moving over from CodeDeploy's agent changes",
        .description =
                "Reads CodeDeploy's configuration and what it deployed here, and says what becomes of it. Nothing is "
                "changed. muster-codedeploy(7) has the two concept by concept.",
        .options = options,
        .values_size = sizeof(MigrateValues),
        .examples =
                (const Example[]){
                        { "What would change on this instance?", "sudo muster migrate --app api" },
                        { "The deployment groups that could be taken over, for a script.",
                          "sudo muster migrate --json | jq -r '.groups[] | select(.problem == null).id'" },
                        {},
                },
        .run = run_migrate,
};
