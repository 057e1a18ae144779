#include <string.h>
#include <sys/stat.h>

#include "agent/base/file.h"
#include "agent/base/strv.h"
#include "hooks/hook_command.h"
#include "tests/unit/test.h"

static void put(TestFolder *folder, const char *name, const char *text, mode_t mode) {
        assert_int_equal(file_replace_at(folder->fd, name, text, strlen(text), mode), 0);
}

/* EXPECTED are the words of the command line, with a space between each two. */
static void check(TestFolder *folder, const char *location, char *const *args, const char *expected,
                  const char *warning) {
        const HookScript script = { .location = location, .args = args };
        _cleanup_strv_ char **argv = NULL, **words = NULL;
        const char *warned = NULL;

        assert_int_equal(hook_command_make(folder->fd, "/release", &script, &argv, &warned, NULL), 0);
        assert_int_equal(strv_split(expected, " ", &words), 0);
        assert_int_equal(strv_length(argv), strv_length(words));
        for (size_t i = 0; argv[i]; i++)
                assert_string_equal(argv[i], words[i]);
        if (warning) {
                assert_non_null(warned);
                assert_non_null(strstr(warned, warning));
        } else {
                assert_null(warned);
        }
}

static void test_commands(void **state) {
        char *const args[] = { (char *) "one", (char *) "$two", NULL };
        TestFolder *folder = *state;

        put(folder, "good", "#!/bin/sh\n", 0755);
        put(folder, "norun", "#!/bin/sh -e\n", 0644);
        put(folder, "plain", "echo\n", 0755);
        assert_int_equal(mkdirat(folder->fd, "sub", 0755), 0);
        assert_int_equal(symlinkat("../good", folder->fd, "sub/link"), 0);
        check(folder, "good", args, "/release/good one $two", NULL);
        check(folder, "norun", args, "/bin/sh -e /release/norun one $two", "no run bit");
        check(folder, "plain", NULL, "/bin/sh /release/plain", "names no interpreter");
        check(folder, "sub/link", NULL, "/release/sub/link", NULL);
}

static void check_refused(TestFolder *folder, const char *location, int r, const char *says) {
        const HookScript script = { .location = location };
        const char *warning = NULL;
        char **argv = NULL;
        Error error = {};

        assert_int_equal(hook_command_make(folder->fd, "/release", &script, &argv, &warning, &error), r);
        assert_int_equal(error.fault, FAULT_RELEASE);
        assert_non_null(strstr(error.message, says));
        assert_null(argv);
}

static void test_refused(void **state) {
        TestFolder *folder = *state;

        put(folder, "crlf", "#!/bin/sh\r\n", 0755);
        put(folder, "elf", "\177ELF", 0644);
        put(folder, "foreign", "#!/opt/none/python2\n", 0755);
        assert_int_equal(mkdirat(folder->fd, "folder", 0755), 0);
        assert_int_equal(mkfifoat(folder->fd, "fifo", 0755), 0);
        assert_int_equal(symlinkat("/bin/sh", folder->fd, "absolute"), 0);
        assert_int_equal(symlinkat("../../../../../bin/sh", folder->fd, "upwards"), 0);
        check_refused(folder, "none", -ENOENT, "no such file");
        check_refused(folder, "crlf/none", -ENOENT, "no such file");
        check_refused(folder, "crlf", -ENOEXEC, "CR LF");
        check_refused(folder, "elf", -ENOEXEC, "without a run bit");
        check_refused(folder, "foreign", -ENOEXEC, "/opt/none/python2 is not on this instance");
        check_refused(folder, "folder", -ENOEXEC, "not a file");
        check_refused(folder, "fifo", -ENOEXEC, "not a file");
        check_refused(folder, "absolute", -ENOEXEC, "leads out");
        check_refused(folder, "upwards", -ENOEXEC, "leads out");
        check_refused(folder, "../x", -ENOEXEC, "leads out");
}

static void test_too_many_arguments(void **state) {
        char *args[HOOK_ARGUMENTS_MAX + 2] = {};
        const HookScript script = { .location = "good", .args = args };
        TestFolder *folder = *state;
        const char *warning;
        Error error = {};
        char **argv;

        put(folder, "good", "#!/bin/sh\n", 0755);
        for (unsigned i = 0; i <= HOOK_ARGUMENTS_MAX; i++)
                args[i] = (char *) "x";
        assert_int_equal(hook_command_make(folder->fd, "/release", &script, &argv, &warning, &error), -E2BIG);
        assert_non_null(strstr(error.message, "arguments"));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_commands, test_folder_setup, test_folder_teardown),
                cmocka_unit_test_setup_teardown(test_refused, test_folder_setup, test_folder_teardown),
                cmocka_unit_test_setup_teardown(test_too_many_arguments, test_folder_setup,
                                                test_folder_teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
