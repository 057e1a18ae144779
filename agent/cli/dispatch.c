#include <string.h>

#include "agent/base/log.h"
#include "agent/cli/complete.h"
#include "agent/cli/dispatch.h"
#include "agent/cli/help.h"

#define COMPLETE_VERB "__complete"

const Option global_options[] = {
        { .name = "help",
          .letter = 'h',
          .type = OPTION_FLAG,
          OPTION_INTO(GlobalValues, help),
          .help = "explain the command and stop" },
        { .name = "json",
          .type = OPTION_FLAG,
          OPTION_INTO(GlobalValues, json),
          .help = "print one JSON value instead of text for people" },
        { .name = "quiet",
          .letter = 'q',
          .type = OPTION_FLAG,
          OPTION_INTO(GlobalValues, quiet),
          .help = "print nothing but errors and what was asked for" },
        { .name = "verbose",
          .letter = 'v',
          .type = OPTION_FLAG,
          OPTION_INTO(GlobalValues, verbose),
          .help = "say on standard error what is being done" },
        { .name = "version",
          .type = OPTION_FLAG,
          OPTION_INTO(GlobalValues, version),
          .help = "print the version of muster and stop" },
        OPTION_END,
};

static const char *environment(const char *name) {
        return getenv(name);
}

static ExitCode usage_error(const Cli *cli, int r, const Error *error) {
        cli_print_error(cli, error);
        return r == -EINVAL ? EXIT_CODE_USAGE : cli_exit_code(r);
}

/* Returns whether that was all. */
static bool answer_globals(const GlobalValues *globals, const CommandPath *path, Cli *cli) {
        cli->json = globals->json;
        cli->quiet = globals->quiet;
        cli->verbose = globals->verbose;
        if (globals->verbose)
                log_set_max_priority(LOG_DEBUG);
        if (globals->help)
                help_print(path, global_options, cli->out, &cli->out_style, cli->columns);
        else if (globals->version)
                fprintf(cli->out, "muster %s\n", MUSTER_VERSION);
        return globals->help || globals->version;
}

static ExitCode run_command(const CommandPath *path, void *values, char **arguments, Cli *cli) {
        Error error = {};
        int r;

        r = command_last(path)->run(cli, values, arguments, &error);
        if (r < 0)
                cli_print_error(cli, &error);
        return cli_exit_code(r);
}

static ExitCode parse_and_run(const CommandPath *path, char *const *words, GlobalValues *globals, Cli *cli) {
        const Command *command = command_last(path);
        _cleanup_free_ void *values = calloc(1, MAX(command->values_size, (size_t) 1));
        const OptionSet sets[] = {
                { .options = command->options, .values = values },
                { .options = global_options, .values = globals },
        };
        _cleanup_strv_ char **arguments = NULL;
        ExitCode code = EXIT_CODE_OK;
        Error error = {};
        int r;

        if (!values)
                return usage_error(cli, error_oom(&error), &error);
        r = option_parse(sets, ELEMENTSOF(sets), words, false, environment, &arguments, &error);
        /* Who means a version of an app must not believe that anything was done. */
        if (r >= 0 && globals->version && !globals->help && arguments && arguments[0])
                r = command_refuse_version(path, &error);
        if (r >= 0 && !answer_globals(globals, path, cli)) {
                r = command_check_arguments(path, arguments, &error);
                if (r >= 0)
                        r = option_check_required(&sets[0], &error);
                if (r >= 0)
                        code = run_command(path, values, arguments, cli);
        }
        option_release(&sets[0]);
        return r < 0 ? usage_error(cli, r, &error) : code;
}

/* A group of verbs alone: its help, which is what the caller looks for, but no success for a script. */
static ExitCode answer_group(const CommandPath *path, char *const *words, GlobalValues *globals, Cli *cli) {
        const OptionSet set = { .options = global_options, .values = globals };
        _cleanup_strv_ char **rest = NULL;
        Error error = {};
        int r;

        r = option_parse(&set, 1, words, true, environment, &rest, &error);
        if (r == -EINVAL && path->n > 1)
                r = command_refuse_group(path, &error); /* the option is one of a verb that was left out */
        if (r < 0)
                return usage_error(cli, r, &error);
        if (answer_globals(globals, path, cli))
                return EXIT_CODE_OK;
        if (rest)
                return usage_error(cli, command_refuse_word(path, rest[0], &error), &error);
        help_print(path, global_options, cli->err, &cli->err_style, cli->columns);
        return EXIT_CODE_USAGE;
}

/* "muster help publish" is "muster publish --help". */
static ExitCode answer_help(const Command *root, char *const *words, Cli *cli) {
        CommandPath path;
        Error error = {};
        size_t used;

        used = command_walk(root, words, &path);
        if (words[used])
                return usage_error(cli, command_refuse_word(&path, words[used], &error), &error);
        help_print(&path, global_options, cli->out, &cli->out_style, cli->columns);
        return EXIT_CODE_OK;
}

static ExitCode answer(const Command *root, char *const *arguments, Cli *cli) {
        GlobalValues globals = {};
        const OptionSet set = { .options = global_options, .values = &globals };
        _cleanup_strv_ char **words = NULL;
        CommandPath path = { .commands = { root }, .n = 1 };
        Error error = {};
        size_t used;
        int r;

        r = option_parse(&set, 1, arguments, true, NULL, &words, &error);
        if (r < 0)
                return usage_error(cli, r, &error);
        if (answer_globals(&globals, &path, cli))
                return EXIT_CODE_OK;
        if (!words)
                return answer_group(&path, (char *[]){ NULL }, &globals, cli);
        if (strcmp(words[0], COMPLETE_VERB) == 0)
                return cli_exit_code(complete_print(root, global_options, words + 1, cli->out));
        if (strcmp(words[0], "help") == 0)
                return answer_help(root, words + 1, cli);
        used = command_walk(root, words, &path);
        if (command_last(&path)->verbs)
                return answer_group(&path, words + used, &globals, cli);
        return parse_and_run(&path, words + used, &globals, cli);
}

ExitCode dispatch(const Command *root, char *const *arguments, Cli *cli) {
        ExitCode code = answer(root, arguments, cli);

        if (fflush(cli->out) == 0)
                return code;
        if (errno != EPIPE) /* who reads has had enough */
                fprintf(cli->err, "muster: standard output: %s\n", strerror(errno));
        return EXIT_CODE_FAILED;
}
