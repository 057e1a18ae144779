#include <string.h>

#include "tests/unit/test.h"

#include "agent/base/error.h"

static void test_set(_unused_ void **state) {
        Error error = {};

        assert_int_equal(error_set(&error, -ENOENT, "%s: no such %d", "file", 7), -ENOENT);
        assert_string_equal(error.message, "file: no such 7");
        assert_int_equal(error.fault, FAULT_UNKNOWN);
        assert_int_equal(error_set(&error, -ENOSPC, "disk"), -ENOSPC);
        assert_string_equal(error.message, "disk");
        assert_int_equal(error.fault, FAULT_HOST);
        assert_int_equal(error_set(&error, 3, "own code"), 3);
        assert_int_equal(error.fault, FAULT_UNKNOWN);
}

static void test_set_fault(_unused_ void **state) {
        Error error = {};

        assert_int_equal(error_set_fault(&error, -ENOSPC, FAULT_RELEASE, "bad %s", "hook"), -ENOSPC);
        assert_string_equal(error.message, "bad hook");
        assert_int_equal(error.fault, FAULT_RELEASE);
        error_blame(&error, FAULT_INPUT);
        assert_int_equal(error.fault, FAULT_INPUT);
        assert_string_equal(error.message, "bad hook");
}

static void test_set_errno(_unused_ void **state) {
        Error error = {};

        assert_int_equal(error_set_errno(&error, -ENOENT, "cannot open %s", "x"), -ENOENT);
        assert_string_equal(error.message, "cannot open x: No such file or directory");
        assert_int_equal(error_set_errno(&error, -EACCES, "cannot open"), -EACCES);
        assert_int_equal(error.fault, FAULT_HOST);
}

static void test_null(_unused_ void **state) {
        assert_int_equal(error_set(NULL, -EIO, "x"), -EIO);
        assert_int_equal(error_set_fault(NULL, -EIO, FAULT_HOST, "x"), -EIO);
        assert_int_equal(error_set_errno(NULL, -EIO, "x"), -EIO);
        assert_int_equal(error_oom(NULL), -ENOMEM);
        error_prefix(NULL, "x");
        error_blame(NULL, FAULT_HOST);
}

static void test_prefix(_unused_ void **state) {
        Error error = {};

        error_set_fault(&error, -EINVAL, FAULT_INPUT, "line 3: bad value");
        error_prefix(&error, "%s", "muster.conf");
        assert_string_equal(error.message, "muster.conf: line 3: bad value");
        assert_int_equal(error.fault, FAULT_INPUT);
}

static void test_too_long(_unused_ void **state) {
        char text[2 * ERROR_MESSAGE_MAX];
        Error error = {};

        memset(text, 'a', sizeof(text) - 1);
        text[sizeof(text) - 1] = '\0';
        error_set(&error, -EIO, "%s", text);
        assert_int_equal(strlen(error.message), ERROR_MESSAGE_MAX - 1);
        error_set_errno(&error, -EIO, "%s", text);
        assert_int_equal(strlen(error.message), ERROR_MESSAGE_MAX - 1);
        error_prefix(&error, "before");
        assert_int_equal(strlen(error.message), ERROR_MESSAGE_MAX - 1);
        assert_memory_equal(error.message, "before: aaa", 11);
        error_prefix(&error, "%s", text);
        assert_int_equal(strlen(error.message), ERROR_MESSAGE_MAX - 1);
}

static void test_append(_unused_ void **state) {
        char text[ERROR_MESSAGE_MAX];
        Error error = {};

        error_set_fault(&error, -EIO, FAULT_RELEASE, "it ended");
        error_append(&error, "; its last words: %s", "no");
        assert_string_equal(error.message, "it ended; its last words: no");
        assert_int_equal(error.fault, FAULT_RELEASE);
        memset(text, 'a', sizeof(text) - 1);
        text[sizeof(text) - 1] = '\0';
        error_append(&error, "%s", text);
        assert_int_equal(strlen(error.message), ERROR_MESSAGE_MAX - 1);
        error_append(&error, "no room");
        assert_int_equal(strlen(error.message), ERROR_MESSAGE_MAX - 1);
}

/* Else no document could hold it. */
static void test_is_utf8(_unused_ void **state) {
        Error error = {};

        error_set(&error, -EIO, "%0*d\xe2\x82\xac", (int) ERROR_MESSAGE_MAX - 2, 7);
        assert_int_equal(strlen(error.message), ERROR_MESSAGE_MAX - 2);
        error_set(&error, -EIO, "/srv/caf\xe9");
        assert_string_equal(error.message, "/srv/caf?");
        error_append(&error, ": %.*s", 4, "\xe2\x82\xac\xe2\x82\xac");
        assert_string_equal(error.message, "/srv/caf?: \xe2\x82\xac?");
        error_prefix(&error, "%0*d", (int) ERROR_MESSAGE_MAX - 15, 7);
        assert_int_equal(strlen(error.message), ERROR_MESSAGE_MAX - 2);
}

static void test_fault_of(_unused_ void **state) {
        static const int of_the_host[] = { ENOSPC,      EDQUOT,       EROFS,        EIO,        ENOMEM,
                                           EMFILE,      ENFILE,       EACCES,       EPERM,      ENETDOWN,
                                           ENETUNREACH, EHOSTUNREACH, ECONNREFUSED, ECONNRESET, ETIMEDOUT };

        for (size_t i = 0; i < ELEMENTSOF(of_the_host); i++)
                assert_int_equal(error_fault_of(-of_the_host[i]), FAULT_HOST);
        assert_int_equal(error_fault_of(-ENOENT), FAULT_UNKNOWN);
        assert_int_equal(error_fault_of(-EINVAL), FAULT_UNKNOWN);
        assert_int_equal(error_fault_of(ENOMEM), FAULT_UNKNOWN);
        assert_int_equal(error_fault_of(0), FAULT_UNKNOWN);
}

static void test_fault_names(_unused_ void **state) {
        assert_string_equal(error_fault_to_string(FAULT_UNKNOWN), "unknown");
        assert_string_equal(error_fault_to_string(FAULT_HOST), "host");
        assert_string_equal(error_fault_to_string(FAULT_RELEASE), "release");
        assert_string_equal(error_fault_to_string(FAULT_INPUT), "input");
        assert_string_equal(error_fault_to_string((ErrorFault) 99), "unknown");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_set),       cmocka_unit_test(test_set_fault),
                cmocka_unit_test(test_set_errno), cmocka_unit_test(test_null),
                cmocka_unit_test(test_prefix),    cmocka_unit_test(test_too_long),
                cmocka_unit_test(test_fault_of),  cmocka_unit_test(test_fault_names),
                cmocka_unit_test(test_append),    cmocka_unit_test(test_is_utf8),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
