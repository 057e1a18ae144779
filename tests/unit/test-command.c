#include <string.h>

#include "tests/unit/test.h"

#include "agent/cli/complete.h"
#include "agent/cli/dispatch.h"
#include "agent/cli/help.h"

/* A small tree. */

typedef struct ShoutValues {
        const char *out;
        bool loud;
        const char *word;
} ShoutValues;

static const Option shout_options[] = {
        { .name = "out",
          .letter = 'o',
          .type = OPTION_PATH,
          OPTION_INTO(ShoutValues, out),
          .value = "FILE",
          .help = "where to" },
        { .name = "loud",
          .type = OPTION_SWITCH,
          OPTION_INTO(ShoutValues, loud),
          .help = "how",
          .initial = "yes" },
        { .name = "word",
          .type = OPTION_TEXT,
          OPTION_INTO(ShoutValues, word),
          .value = "WORD",
          .help = "what",
          .environment = "SHOUT_WORD_FOR_TEST",
          .required = true },
        OPTION_END,
};

static int run_shout(Cli *cli, void *values, char **arguments, Error *error) {
        const ShoutValues *shout = values;

        if (strcmp(shout->word, "forbidden") == 0)
                return error_set(error, -EACCES, "the word is forbidden");
        if (strcmp(shout->word, "conflict") == 0)
                return EXIT_CODE_CONFLICT;
        fprintf(cli->out, "%s %s %s", arguments[0], shout->word, shout->loud ? "loud" : "low");
        return 0;
}

static const Command command_shout = {
        .name = "shout",
        .summary = "say it aloud",
        .description =
                "Says WORD.\n\nSo that everyone hears it, wherever they are, whatever they do, on a good day.",
        .arguments = "FILE",
        .arguments_min = 1,
        .arguments_max = 1,
        .argument_kind = ARGUMENT_FILE,
        .options = shout_options,
        .values_size = sizeof(ShoutValues),
        .examples = (const Example[]){ { "Say it.", "muster shout x --word y" }, {} },
        .run = run_shout,
};

static int run_plain(Cli *cli, void *values, char **arguments, Error *error) {
        (void) values;
        (void) arguments;
        (void) error;
        fputs("plain", cli->out);
        return 0;
}

static const Command command_make = { .name = "generate", .summary = "make one", .run = run_plain };
static const Command command_secret = {
        .name = "secret", .summary = "unseen", .run = run_plain, .hidden = true
};
static const Command command_key = {
        .name = "key",
        .summary = "keys",
        .verbs = (const Command *const[]){ &command_make, &command_secret, NULL },
};
static const Command root = {
        .name = "muster",
        .summary = "a test",
        .verbs = (const Command *const[]){ &command_shout, &command_key, NULL },
};

typedef struct Outcome {
        ExitCode code;
        char *out, *err;
} Outcome;

static Outcome run(const char *const *arguments) {
        Outcome outcome = {};
        size_t n, m;
        Cli cli = { .columns = 60, .clock = &clock_system };

        cli.out_style = cli.err_style = (Style){ "", "", "", "", "" };
        cli.out = open_memstream(&outcome.out, &n);
        cli.err = open_memstream(&outcome.err, &m);
        outcome.code = dispatch(&root, (char *const *) arguments, &cli);
        fclose(cli.out);
        fclose(cli.err);
        return outcome;
}

static void check(const char *const *arguments, ExitCode code, const char *out, const char *err) {
        Outcome outcome = run(arguments);

        assert_string_equal(outcome.err, err);
        assert_string_equal(outcome.out, out);
        assert_int_equal(outcome.code, code);
        free(outcome.out);
        free(outcome.err);
}

#define ARGUMENTS(...) ((const char *const[]){ __VA_ARGS__ __VA_OPT__(, ) NULL })

static void test_runs(_unused_ void **state) {
        check(ARGUMENTS("shout", "x", "--word=y"), 0, "x y loud", "");
        check(ARGUMENTS("-q", "shout", "--no-loud", "--word", "y", "x", "--json"), 0, "x y low", "");
        check(ARGUMENTS("key", "generate"), 0, "plain", "");
        check(ARGUMENTS("key", "secret"), 0, "plain", "");
        check(ARGUMENTS("--version"), 0, "muster " MUSTER_VERSION "\n", "");
        check(ARGUMENTS("key", "generate", "--version"), 0, "muster " MUSTER_VERSION "\n", "");
}

static void test_usage_errors(_unused_ void **state) {
        check(ARGUMENTS("shuot"), 2, "",
              "muster: there is no command \"muster shuot\"; did you mean \"muster shout\"?\n");
        check(ARGUMENTS("zebra"), 2, "",
              "muster: there is no command \"muster zebra\"; \"muster --help\" lists what there is\n");
        check(ARGUMENTS("key", "genrate"), 2, "",
              "muster: there is no command \"muster key genrate\"; did you mean \"muster key generate\"?\n");
        check(ARGUMENTS("generate"), 2, "",
              "muster: there is no command \"muster generate\"; did you mean \"muster key generate\"?\n");
        check(ARGUMENTS("key", "--out", "x"), 2, "", "muster: after \"muster key\" comes one of: generate\n");
        check(ARGUMENTS("key", "secre"), 2, "",
              "muster: there is no command \"muster key secre\"; \"muster key --help\" lists what there is\n");
        check(ARGUMENTS("shout", "--word", "y"), 2, "",
              "muster: an argument is missing: muster shout FILE\n");
        check(ARGUMENTS("shout", "x", "y"), 2, "",
              "muster: \"y\" is one argument too many: muster shout FILE\n");
        check(ARGUMENTS("key", "generate", "y"), 2, "",
              "muster: \"y\" is one argument too many: muster key generate\n");
        check(ARGUMENTS("shout", "x"), 2, "",
              "muster: --word WORD is missing; it may also stand in SHOUT_WORD_FOR_TEST\n");
        check(ARGUMENTS("--lou"), 2, "", "muster: there is no option --lou here\n");
        check(ARGUMENTS("shout", "--lou"), 2, "",
              "muster: there is no option --lou here; did you mean --loud?\n");
        check(ARGUMENTS("help", "shuot"), 2, "",
              "muster: there is no command \"muster shuot\"; did you mean \"muster shout\"?\n");
}

static void test_exit_codes(_unused_ void **state) {
        check(ARGUMENTS("shout", "x", "--word=forbidden"), 4, "", "muster: the word is forbidden\n");
        check(ARGUMENTS("shout", "x", "--word=conflict"), 6, "", "");
        assert_int_equal(cli_exit_code(0), EXIT_CODE_OK);
        assert_int_equal(cli_exit_code(-EINVAL), EXIT_CODE_INPUT);
        assert_int_equal(cli_exit_code(-ENOENT), EXIT_CODE_NOT_FOUND);
        assert_int_equal(cli_exit_code(-EEXIST), EXIT_CODE_CONFLICT);
        assert_int_equal(cli_exit_code(-ECONNREFUSED), EXIT_CODE_UNREACHABLE);
        assert_int_equal(cli_exit_code(-EXDEV), EXIT_CODE_FAILED);
}

static void test_environment_fills(_unused_ void **state) {
        assert_int_equal(setenv("SHOUT_WORD_FOR_TEST", "env", 1), 0);
        check(ARGUMENTS("shout", "x"), 0, "x env loud", "");
        assert_int_equal(unsetenv("SHOUT_WORD_FOR_TEST"), 0);
}

#define GLOBAL_HELP                                                                                          \
        "\nOptions of every command:\n"                                                                      \
        "  -h, --help     explain the command and stop\n"                                                    \
        "      --json     print one JSON value instead of text for\n"                                        \
        "                 people\n"                                                                          \
        "  -q, --quiet    print nothing but errors and what was asked\n"                                     \
        "                 for\n"                                                                             \
        "  -v, --verbose  say on standard error what is being done\n"                                        \
        "      --version  print the version of muster and stop\n"

#define ROOT_HELP                                                                                            \
        "muster - a test\n"                                                                                  \
        "\nUsage:\n"                                                                                         \
        "  muster COMMAND\n"                                                                                 \
        "\nCommands:\n"                                                                                      \
        "  shout         say it aloud\n"                                                                     \
        "  key generate  make one\n" GLOBAL_HELP

#define SHOUT_HELP                                                                                           \
        "muster shout - say it aloud\n"                                                                      \
        "\nUsage:\n"                                                                                         \
        "  muster shout FILE --word WORD [OPTION...]\n"                                                      \
        "\nSays WORD.\n"                                                                                     \
        "\nSo that everyone hears it, wherever they are, whatever they\n"                                    \
        "do, on a good day.\n"                                                                               \
        "\nOptions:\n"                                                                                       \
        "  -o, --out FILE   where to\n"                                                                      \
        "      --[no-]loud  how\n"                                                                           \
        "      --word WORD  what [SHOUT_WORD_FOR_TEST]\n" GLOBAL_HELP "\nExamples:\n"                        \
        "  # Say it.\n"                                                                                      \
        "  muster shout x --word y\n"

static void test_help(_unused_ void **state) {
        check(ARGUMENTS("--help"), 0, ROOT_HELP, "");
        check(ARGUMENTS("help"), 0, ROOT_HELP, "");
        check(ARGUMENTS(), 2, "", ROOT_HELP);
        check(ARGUMENTS("shout", "--help"), 0, SHOUT_HELP, "");
        check(ARGUMENTS("-h", "shout"), 0, ROOT_HELP, "");
        check(ARGUMENTS("help", "shout"), 0, SHOUT_HELP, "");
}

static void test_wrap(_unused_ void **state) {
        static const struct {
                const char *text;
                unsigned indent, at, columns;
                const char *expected;
        } cases[] = {
                { "", 0, 0, 10, "\n" },
                { "one two three", 0, 0, 10, "one two\nthree\n" },
                { "one two three", 2, 2, 10, "one two\n  three\n" },
                { "one two three", 2, 0, 10, "  one two\n  three\n" },
                { "extraordinarily long", 2, 2, 10, "extraordinarily\n  long\n" },
                { "a\n\nb", 2, 2, 10, "a\n\n  b\n" },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_free_ char *text = NULL;
                size_t size;
                FILE *stream = open_memstream(&text, &size);

                help_wrap(stream, cases[i].text, cases[i].indent, cases[i].at, cases[i].columns);
                fclose(stream);
                assert_string_equal(text, cases[i].expected);
        }
}

static void test_completes(_unused_ void **state) {
        check(ARGUMENTS("__complete"), 0, "shout\nkey\n", "");
        check(ARGUMENTS("__complete", ""), 0, "shout\nkey\n", "");
        check(ARGUMENTS("__complete", "s"), 0, "shout\n", "");
        check(ARGUMENTS("__complete", "key", ""), 0, "generate\n", "");
        check(ARGUMENTS("__complete", "key", "generate", ""), 0, "", "");
        check(ARGUMENTS("__complete", "shout", ""), 0, ":files\n", "");
        check(ARGUMENTS("__complete", "shout", "--o"), 0, "--out\n", "");
        check(ARGUMENTS("__complete", "shout", "--no"), 0, "--no-loud\n", "");
        check(ARGUMENTS("__complete", "shout", "--q"), 0, "--quiet\n", "");
        check(ARGUMENTS("__complete", "shout", "--out", ""), 0, ":files\n", "");
        check(ARGUMENTS("__complete", "shout", "-o", "x"), 0, ":files\n", "");
        check(ARGUMENTS("__complete", "shout", "--word", ""), 0, "", "");
        check(ARGUMENTS("__complete", "shout", "--out="), 0, ":files\n", "");
        check(ARGUMENTS("__complete", "shout", "--word=x"), 0, "", "");
        check(ARGUMENTS("__complete", "shout", "--loud", ""), 0, ":files\n", "");
        check(ARGUMENTS("__complete", "shout", "-", ""), 0, ":files\n", "");
        check(ARGUMENTS("__complete", "unknown", ""), 0, "", "");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_runs),       cmocka_unit_test(test_usage_errors),
                cmocka_unit_test(test_exit_codes), cmocka_unit_test(test_environment_fills),
                cmocka_unit_test(test_help),       cmocka_unit_test(test_wrap),
                cmocka_unit_test(test_completes),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
