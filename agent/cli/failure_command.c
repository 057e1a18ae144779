#include "agent/cli/failure_command.h"
#include "agent/cli/depot_access.h"
#include "agent/cli/failure_list.h"
#include "agent/cli/output.h"
#include "agent/cli/shared_options.h"
#include "agent/cli/table.h"
#include "agent/cli/view.h"
#include "agent/failure.h"
#include "artifacts/layout.h"

typedef struct FailureValues {
        const char *app;
        const char *group;
        const char *instance;
        OptionNumber limit;
        DepotValues depot;
} FailureValues;

static const char *text_of(const json_t *object, const char *key) {
        return json_string_value(json_object_get(object, key));
}

/* NULL: it was removed meanwhile. */
static int read_failure(const DepotAccess *access, const char *key, json_t **ret, Error *error) {
        _cleanup_depot_reply_ DepotReply reply = {};
        int r;

        *ret = NULL;
        r = depot_access_get(access, key, FAILURE_SIZE_MAX, &reply, error);
        if (r < 0 || reply.outcome == DEPOT_NOT_FOUND)
                return r;
        return view_parse((const char *) reply.body, key, ret, error);
}

static int read_failures(const DepotAccess *access, const DepotEntry *const *entries, size_t n, json_t *array,
                         Error *error) {
        for (size_t i = 0; i < n; i++) {
                json_t *failure;
                int r = read_failure(access, entries[i]->key, &failure, error);

                if (r < 0)
                        return r;
                if (failure && json_array_append_new(array, failure) < 0)
                        return error_oom(error);
        }
        return 0;
}

static int print_list(const Cli *cli, const json_t *failures, Error *error) {
        _cleanup_table_ Table table = { .n_columns = 5 };
        const json_t *failure;
        size_t i;
        int r;

        r = table_add(&table, TABLE_ROW("INSTANCE", "VERSION", "STEP", "AT", "REASON"));
        json_array_foreach((json_t *) failures, i, failure)
                if (r >= 0)
                        r = table_add(&table, TABLE_ROW(text_of(failure, "instance"),
                                                        text_of(failure, "version"), text_of(failure, "step"),
                                                        text_of(failure, "at"), text_of(failure, "reason")));
        if (r < 0)
                return error_oom(error);
        table_print(&table, cli->out, &cli->out_style);
        return 0;
}

static void print_whole(const Cli *cli, const json_t *failure) {
        const json_t *journal = json_object_get(failure, "journal"), *line;
        const Style *style = &cli->out_style;
        size_t i;

        fprintf(cli->out, "%s%s%s of group %s, %s %s, %s\n", style->strong,
                text_of(failure, "instance") ?: "-", style->off, text_of(failure, "group") ?: "-",
                text_of(failure, "app") ?: "-", text_of(failure, "version") ?: "-",
                text_of(failure, "at") ?: "-");
        fprintf(cli->out, "%sfailed%s in %s: %s\n", style->bad, style->off, text_of(failure, "step") ?: "-",
                text_of(failure, "reason") ?: "-");
        view_steps(json_object_get(failure, "deployment"), cli->out, style);
        json_array_foreach((json_t *) journal, i, line)
                fprintf(cli->out, "%s%s\n", i == 0 ? "\n" : "", json_string_value(line) ?: "-");
}

static int refuse_none(const FailureValues *options, Error *error) {
        if (options->instance)
                return error_set_fault(error, -ENOENT, FAULT_INPUT,
                                       "no failure of instance %s is kept for app %s in group %s",
                                       options->instance, options->app, options->group);
        return error_set_fault(error, -ENOENT, FAULT_INPUT, "no failure is kept for app %s in group %s",
                               options->app, options->group);
}

static int show(const Cli *cli, const FailureValues *options, const json_t *failures, Error *error) {
        if (json_array_size(failures) == 0)
                return refuse_none(options, error);
        if (cli->json)
                return output_json(cli, json_pack("{s:O}", "failures", failures), error);
        if (!options->instance)
                return print_list(cli, failures, error);
        print_whole(cli, json_array_get(failures, 0));
        return 0;
}

static int run_show_failure(Cli *cli, void *values, _unused_ char **arguments, Error *error) {
        const FailureValues *options = values;
        _cleanup_depot_access_ DepotAccess access = {};
        _cleanup_depot_reply_ DepotReply reply = {};
        _cleanup_free_ const DepotEntry **found = NULL;
        json_auto_t *failures = json_array();
        char prefix[LAYOUT_KEY_MAX];
        size_t n = 0;
        int r;

        r = layout_failures(options->app, options->group, prefix, error);
        if (r >= 0)
                r = depot_access_open(&options->depot, &access, error);
        if (r >= 0)
                r = depot_access_list(&access, prefix, &reply, error);
        if (r >= 0 &&
            failure_list_find(reply.entries, reply.n_entries, prefix, options->instance, &found, &n) < 0)
                r = error_oom(error);
        if (r >= 0)
                r = read_failures(&access, found, MIN(n, (size_t) options->limit.value), failures, error);
        return r < 0 ? r : show(cli, options, failures, error);
}

static const Option failure_options[] = {
        APP_OPTION(FailureValues, app),
        GROUP_OPTION(FailureValues, group),
        { .name = "instance",
          .letter = 'i',
          .type = OPTION_TEXT,
          OPTION_INTO(FailureValues, instance),
          .value = "ID",
          .help = "show the last failure of this instance, whole" },
        { .name = "limit",
          .letter = 'n',
          .type = OPTION_NUMBER,
          OPTION_INTO(FailureValues, limit),
          .value = "N",
          .help = "show the newest N only",
          .initial = "20" },
        DEPOT_OPTIONS(FailureValues, depot),
        OPTION_END,
};

const Command command_show_failure = {
        .name = "failure",
        .summary = "say why new instances failed, also those that are gone",
        .options = failure_options,
        .values_size = sizeof(FailureValues),
        .examples =
                (const Example[]){
                        { "Which new instances failed, and why?",
                          "muster show failure --app api --group prod" },
                        { "What did that one print last?",
                          "muster show failure --app api --group prod --instance i-0123456789abcdef0" },
                        {},
                },
        .run = run_show_failure,
};
