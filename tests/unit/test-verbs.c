#include <ctype.h>
#include <string.h>

#include "tests/unit/test.h"

#include "agent/base/strv.h"
#include "agent/cli/dispatch.h"
#include "agent/cli/verbs.h"

typedef void (*CommandCheck)(const Command *command, const char *path);

static void walk(const Command *command, const char *prefix, CommandCheck check) {
        char path[128];

        snprintf(path, sizeof(path), "%s%s%s", prefix, *prefix ? " " : "", command->name);
        check(command, path);
        for (const Command *const *verb = command->verbs; verb && *verb; verb++)
                walk(*verb, path, check);
}

/* What is shown to people begins with a small letter and ends without a full stop. */
static void assert_phrase(const char *path, const char *text) {
        if (!text || !*text || isupper((unsigned char) text[0]) || string_ends_with(text, "."))
                fail_msg("%s: \"%s\"", path, text ?: "(null)");
}

static void check_shape(const Command *command, const char *path) {
        assert_phrase(path, command->summary);
        assert_true(strlen(path) + strlen(" - ") + strlen(command->summary) <= 80);
        assert_true(!command->verbs != !command->run); /* either a group or something to run */
        assert_true(command->arguments_min <= command->arguments_max);
        assert_true(!command->arguments == (command->arguments_max == 0));
        assert_true(!command->options || command->values_size > 0);
        if (command->run && !command->examples)
                fail_msg("%s has no example", path);
}

static void check_option(const Command *command, const char *path, const Option *option) {
        assert_phrase(path, option->help);
        if (option_takes_value(option) != !!option->value)
                fail_msg("%s --%s: a name for its value, if it has one", path, option->name);
        assert_true(option->offset < command->values_size);
        assert_false(option->required && option->initial);
        for (const Option *other = command->options; other != option; other++) {
                assert_string_not_equal(other->name, option->name);
                assert_true(option->letter == 0 || option->letter != other->letter);
        }
        for (const Option *global = global_options; global->name; global++) {
                assert_true(option->letter == 0 || option->letter != global->letter);
                if (strcmp(option->name, global->name) == 0)
                        assert_string_equal(option->name, "version"); /* of an app, where there is one */
        }
}

static void check_options(const Command *command, const char *path) {
        for (const Option *option = command->options; option && option->name; option++)
                check_option(command, path, option);
}

/* What the tables give for a value that is not said is itself a good value. */
static void check_initial(const Command *command, const char *path) {
        _cleanup_free_ void *values = calloc(1, MAX(command->values_size, (size_t) 1));
        const OptionSet set = { .options = command->options, .values = values };
        _cleanup_strv_ char **rest = NULL;
        Error error = {};

        if (option_parse(&set, 1, (char *[]){ NULL }, false, NULL, &rest, &error) < 0)
                fail_msg("%s: %s", path, error.message);
        option_release(&set);
}

static void test_shape(_unused_ void **state) {
        walk(&command_root, "", check_shape);
}

static void test_options(_unused_ void **state) {
        walk(&command_root, "", check_options);
}

static void test_initial(_unused_ void **state) {
        walk(&command_root, "", check_initial);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_shape),
                cmocka_unit_test(test_options),
                cmocka_unit_test(test_initial),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
