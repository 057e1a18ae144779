#include <string.h>

#include "agent/base/cleanup.h"
#include "hooks/script.h"
#include "tests/unit/test.h"

static int classify(const char *text, Script *ret, Error *error) {
        return script_classify(text, MIN(strlen(text), (size_t) SCRIPT_HEAD_SIZE), ret, error);
}

static void check(const char *text, ScriptKind kind, const char *interpreter, const char *argument) {
        Script script;

        assert_int_equal(classify(text, &script, NULL), 0);
        assert_int_equal(script.kind, kind);
        assert_string_equal(script.interpreter, interpreter);
        assert_string_equal(script.argument, argument);
}

static void test_kinds(void **state) {
        (void) state;
        check("\177ELF\2\1\1", SCRIPT_BINARY, "", "");
        check("#!/bin/sh\necho\n", SCRIPT_INTERPRETED, "/bin/sh", "");
        check("#!/bin/sh", SCRIPT_INTERPRETED, "/bin/sh", "");
        check("#! /bin/bash -e -u \t\necho\n", SCRIPT_INTERPRETED, "/bin/bash", "-e -u");
        check("#!/usr/bin/env\tpython3\n", SCRIPT_INTERPRETED, "/usr/bin/env", "python3");
}

static void test_plain(void **state) {
        (void) state;
        check("", SCRIPT_PLAIN, "", "");
        check("#", SCRIPT_PLAIN, "", "");
        check("echo hello\necho again\r\n", SCRIPT_PLAIN, "", "");
        check("# !/bin/sh\n", SCRIPT_PLAIN, "", "");
        check("\xef\xbb\xbf"
              "echo\n",
              SCRIPT_PLAIN, "", "");
}

static void check_refused(const char *text, size_t size, const char *says) {
        Script script = { .kind = SCRIPT_BINARY };
        Error error = {};

        assert_int_equal(script_classify(text, size, &script, &error), -ENOEXEC);
        assert_int_equal(error.fault, FAULT_RELEASE);
        assert_non_null(strstr(error.message, says));
        assert_int_equal(script.kind, SCRIPT_BINARY); /* untouched */
}

static void test_refused(void **state) {
        char long_line[SCRIPT_HEAD_SIZE] = "#!/";
        Script script;

        (void) state;
        memset(long_line + 3, 'a', sizeof(long_line) - 3);
        check_refused("#!/bin/bash\r\necho\r\n", 19, "CR LF");
        check_refused("#!/bin/bash -e\r\necho\r\n", 22, "CR LF");
        check_refused("#!/bin/bash\r", 12, "CR LF");
        check_refused("echo hello\r\n", 12, "CR LF");
        check_refused("\r\n", 2, "CR LF");
        check_refused("\xef\xbb\xbf#!/bin/sh\n", 13, "byte order mark");
        check_refused("#!\n", 3, "no absolute path");
        check_refused("#!", 2, "no absolute path");
        check_refused("#!bash\n", 7, "no absolute path");
        check_refused("#!/bin\0/sh\n", 11, "zero byte");
        check_refused(long_line, sizeof(long_line), "longer than");
        long_line[SCRIPT_HEAD_SIZE - 1] = '\n';
        assert_int_equal(script_classify(long_line, sizeof(long_line), &script, NULL), 0);
        assert_int_equal(strlen(script.interpreter), sizeof(long_line) - 3);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_kinds),
                cmocka_unit_test(test_plain),
                cmocka_unit_test(test_refused),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
