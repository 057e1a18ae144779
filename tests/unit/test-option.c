#include <string.h>

#include "tests/unit/test.h"

#include "agent/base/clock.h"
#include "agent/cli/option.h"

typedef struct Values {
        bool force;
        bool wait;
        const char *app;
        const char *version;
        const char *depot;
        const char *reason;
        OptionNumber serial;
        OptionNumber expires;
        char **env;
} Values;

static const Option options[] = {
        { .name = "force", .letter = 'f', .type = OPTION_FLAG, OPTION_INTO(Values, force) },
        { .name = "wait", .letter = 'w', .type = OPTION_SWITCH, OPTION_INTO(Values, wait), .initial = "yes" },
        { .name = "app",
          .letter = 'a',
          .type = OPTION_NAME,
          OPTION_INTO(Values, app),
          .value = "NAME",
          .required = true },
        { .name = "version", .type = OPTION_VERSION, OPTION_INTO(Values, version), .value = "VERSION" },
        { .name = "depot",
          .type = OPTION_TEXT,
          OPTION_INTO(Values, depot),
          .value = "URI",
          .environment = "MUSTER_DEPOT",
          .initial = "file:///depot" },
        { .name = "reason", .type = OPTION_LINE, OPTION_INTO(Values, reason), .value = "TEXT" },
        { .name = "expect-serial", .type = OPTION_NUMBER, OPTION_INTO(Values, serial), .value = "N" },
        { .name = "expires",
          .type = OPTION_DURATION,
          OPTION_INTO(Values, expires),
          .value = "TIME",
          .initial = "365d" },
        { .name = "env", .letter = 'e', .type = OPTION_LIST, OPTION_INTO(Values, env), .value = "K=V" },
        OPTION_END,
};

typedef struct Parsed {
        Values values;
        OptionSet set;
        char **rest;
        Error error;
} Parsed;

static const char *no_environment(const char *name) {
        (void) name;
        return NULL;
}

static const char *some_environment(const char *name) {
        return strcmp(name, "MUSTER_DEPOT") == 0 ? "s3://bucket" : NULL;
}

static int parse(Parsed *parsed, const char *const arguments[], bool stop, OptionEnvironment get) {
        *parsed = (Parsed){ .set = { .options = options, .values = &parsed->values } };
        return option_parse(&parsed->set, 1, (char *const *) arguments, stop, get, &parsed->rest,
                            &parsed->error);
}

static void done(Parsed *parsed) {
        option_release(&parsed->set);
        parsed->rest = strv_free(parsed->rest);
}

#define ARGUMENTS(...) ((const char *const[]){ __VA_ARGS__, NULL })

static void test_every_notation(_unused_ void **state) {
        const char *const *const lines[] = {
                ARGUMENTS("--app", "api", "--env", "A=1", "--env=B=2", "--force", "dir"),
                ARGUMENTS("dir", "-a", "api", "-eA=1", "-e", "B=2", "-f"),
                ARGUMENTS("-fa", "api", "-eA=1", "dir", "-eB=2"),
                ARGUMENTS("-faapi", "-eA=1", "-eB=2", "--", "dir"),
        };

        for (size_t i = 0; i < ELEMENTSOF(lines); i++) {
                Parsed parsed;

                assert_int_equal(parse(&parsed, lines[i], false, no_environment), 0);
                assert_string_equal(parsed.values.app, "api");
                assert_true(parsed.values.force);
                assert_int_equal(strv_length(parsed.values.env), 2);
                assert_string_equal(parsed.values.env[0], "A=1");
                assert_string_equal(parsed.values.env[1], "B=2");
                assert_int_equal(strv_length(parsed.rest), 1);
                assert_string_equal(parsed.rest[0], "dir");
                done(&parsed);
        }
}

static void test_what_is_not_given(_unused_ void **state) {
        Parsed parsed;

        assert_int_equal(parse(&parsed, ARGUMENTS("-a", "api"), false, no_environment), 0);
        assert_null(parsed.values.version);
        assert_null(parsed.rest);
        assert_false(parsed.values.serial.given);
        assert_true(parsed.values.wait);
        assert_true(parsed.values.expires.given);
        assert_true(parsed.values.expires.value == 365 * UINT64_C(86400) * USEC_PER_SEC);
        assert_string_equal(parsed.values.depot, "file:///depot");
        done(&parsed);

        assert_int_equal(parse(&parsed, ARGUMENTS("-a", "api", "--no-wait"), false, some_environment), 0);
        assert_string_equal(parsed.values.depot, "s3://bucket");
        assert_false(parsed.values.wait);
        done(&parsed);

        assert_int_equal(
                parse(&parsed, ARGUMENTS("--depot=file:///x", "--expires", "0"), false, some_environment), 0);
        assert_string_equal(parsed.values.depot, "file:///x");
        assert_true(parsed.values.expires.given);
        assert_true(parsed.values.expires.value == 0);
        assert_int_equal(option_check_required(&parsed.set, &parsed.error), -EINVAL);
        assert_string_equal(parsed.error.message, "--app NAME is missing");
        done(&parsed);
}

static void test_after_the_dashes(_unused_ void **state) {
        Parsed parsed;

        assert_int_equal(parse(&parsed, ARGUMENTS("a", "-", "--", "--force", "--"), false, NULL), 0);
        assert_int_equal(strv_length(parsed.rest), 4);
        assert_string_equal(parsed.rest[1], "-");
        assert_string_equal(parsed.rest[2], "--force");
        assert_false(parsed.values.force);
        done(&parsed);

        assert_int_equal(parse(&parsed, ARGUMENTS("-f", "verb", "--unknown"), true, NULL), 0);
        assert_true(parsed.values.force);
        assert_int_equal(strv_length(parsed.rest), 2);
        assert_string_equal(parsed.rest[0], "verb");
        done(&parsed);
}

static void test_refused(_unused_ void **state) {
        const struct {
                const char *const *arguments;
                const char *message;
        } cases[] = {
                { ARGUMENTS("--fore"), "there is no option --fore here; did you mean --force?" },
                { ARGUMENTS("--fore=1"), "there is no option --fore here; did you mean --force?" },
                { ARGUMENTS("--zebra"), "there is no option --zebra here" },
                { ARGUMENTS("-z"), "there is no option -z here" },
                { ARGUMENTS("-fz"), "there is no option -z here" },
                { ARGUMENTS("--no-force"), "there is no option --no-force here" },
                { ARGUMENTS("--force=yes"), "--force takes no value" },
                { ARGUMENTS("--no-wait=yes"), "--wait takes no value" },
                { ARGUMENTS("--app"), "--app needs a value: --app NAME" },
                { ARGUMENTS("-a"), "--app needs a value: --app NAME" },
                { ARGUMENTS("--app", "a", "--app", "a"), "--app is given twice" },
                { ARGUMENTS("--wait", "--no-wait"), "--wait is given twice" },
                { ARGUMENTS("--app="), "--app is \"\", expected 1 to 64 letters" },
                { ARGUMENTS("--app", "a/b"), "--app is \"a/b\", expected 1 to 64 letters" },
                { ARGUMENTS("--version", "1 2"), "--version is \"1 2\", expected 1 to 64 letters" },
                { ARGUMENTS("--depot", ""), "--depot is \"\", expected a text that is not empty" },
                { ARGUMENTS("--reason", ""), "--reason is \"\", expected one line of text" },
                { ARGUMENTS("--reason", "a\nb"), "--reason is \"a\nb\", expected one line of text" },
                { ARGUMENTS("--reason", "caf\xe9"),
                  "--reason is \"caf?\", expected one line of text, at most 1024" },
                { ARGUMENTS("--expect-serial", "-1"), "--expect-serial is \"-1\", expected a whole number" },
                { ARGUMENTS("--expires", "soon"), "--expires is \"soon\", expected a duration such as" },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                Parsed parsed;

                assert_int_equal(parse(&parsed, cases[i].arguments, false, no_environment), -EINVAL);
                assert_memory_equal(parsed.error.message, cases[i].message, strlen(cases[i].message));
                assert_int_equal(parsed.error.fault, FAULT_INPUT);
                assert_null(parsed.rest);
                done(&parsed);
        }
}

static void test_list_limit(_unused_ void **state) {
        const char *arguments[OPTION_LIST_MAX + 2] = {};
        Parsed parsed;

        for (size_t i = 0; i < OPTION_LIST_MAX; i++)
                arguments[i] = "-ex";
        assert_int_equal(parse(&parsed, arguments, false, NULL), 0);
        done(&parsed);
        arguments[OPTION_LIST_MAX] = "-ex";
        assert_int_equal(parse(&parsed, arguments, false, NULL), -EINVAL);
        done(&parsed);
}

static const char *bad_environment(const char *name) {
        return strcmp(name, "MUSTER_APP") == 0 ? "no good" : NULL;
}

static void test_environment_is_named(_unused_ void **state) {
        static const Option table[] = {
                { .name = "app",
                  .type = OPTION_NAME,
                  OPTION_INTO(Values, app),
                  .value = "NAME",
                  .environment = "MUSTER_APP" },
                OPTION_END,
        };
        Values values = {};
        OptionSet set = { .options = table, .values = &values };
        _cleanup_strv_ char **rest = NULL;
        Error error = {};

        assert_int_equal(option_parse(&set, 1, (char *[]){ NULL }, false, bad_environment, &rest, &error),
                         -EINVAL);
        assert_non_null(strstr(error.message, "MUSTER_APP is \"no good\""));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_every_notation),   cmocka_unit_test(test_what_is_not_given),
                cmocka_unit_test(test_after_the_dashes), cmocka_unit_test(test_refused),
                cmocka_unit_test(test_list_limit),       cmocka_unit_test(test_environment_is_named),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
