#include <string.h>

#include "tests/unit/test.h"

#include "artifacts/entry_name.h"

static void test_normalise(_unused_ void **state) {
        static const struct {
                const char *name, *expected; /* NULL: refused */
        } cases[] = {
                { "a", "a" },
                { "a/b/c", "a/b/c" },
                { "./a//b/./c/", "a/b/c" },
                { "./", "" },
                { ".", "" },
                { "...", "..." },
                { "a/..b/c..", "a/..b/c.." },
                { "caf\xc3\xa9", "caf\xc3\xa9" },
                { "with space", "with space" },
                { "", NULL },
                { "/", NULL },
                { "/etc/passwd", NULL },
                { "..", NULL },
                { "../x", NULL },
                { "a/../b", NULL },
                { "a/..", NULL },
                { "a\nb", NULL },
                { "a\x7f", NULL },
                { "a\xc2\x85", NULL },        /* a C1 control character */
                { "\xff", NULL },             /* no UTF-8 */
                { "\xc0\xaf", NULL },         /* "/" in two bytes */
                { "\xe0\x80\xaf", NULL },     /* and in three */
                { "\xed\xa0\x80", NULL },     /* half of a surrogate pair */
                { "\xf4\x90\x80\x80", NULL }, /* beyond Unicode */
                { "x\xe2\x82", NULL },        /* cut off */
        };
        char buffer[256];

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                Error error = {};
                int r = entry_name_normalise(cases[i].name, 100, 10, buffer, &error);

                if (cases[i].expected) {
                        assert_int_equal(r, 0);
                        assert_string_equal(buffer, cases[i].expected);
                } else {
                        assert_int_equal(r, -EBADMSG);
                        assert_int_equal(error.fault, FAULT_RELEASE);
                        assert_true(error.message[0]);
                }
        }
}

static void test_limits(_unused_ void **state) {
        char name[600], buffer[600];

        assert_int_equal(entry_name_normalise("a/b/c", 5, 3, buffer, NULL), 0);
        assert_int_equal(entry_name_normalise("a/b/c", 4, 3, buffer, NULL), -EBADMSG);
        assert_int_equal(entry_name_normalise("a/b/c", 5, 2, buffer, NULL), -EBADMSG);
        assert_int_equal(entry_name_normalise(".//a/./b/c//", 5, 3, buffer, NULL), 0);
        memset(name, 'x', sizeof(name));
        name[255] = '\0';
        assert_int_equal(entry_name_normalise(name, 4095, 10, buffer, NULL), 0);
        name[255] = 'x';
        name[256] = '\0';
        assert_int_equal(entry_name_normalise(name, 4095, 10, buffer, NULL), -EBADMSG);
}

static void test_links(_unused_ void **state) {
        static const struct {
                const char *path, *target;
                int result;
        } cases[] = {
                { "link", "file", 0 },
                { "link", "./a/b", 0 },
                { "a/b/link", "../../top", 0 },
                { "a/b/link", "../..", 0 },
                { "a/b/link", "./.././../top", 0 },
                { "a/link", "..hidden", 0 },
                { "link", "", -EBADMSG },
                { "link", "/etc/passwd", -EBADMSG },
                { "link", "..", -EBADMSG },
                { "link", "../x", -EBADMSG },
                { "a/b/link", "../../../x", -EBADMSG },
                { "a/b/link", "up/..", -EBADMSG }, /* "up" may itself be a link upwards */
                { "link", "a\nb", -EBADMSG },
        };
        char target[ENTRY_LINK_TARGET_MAX + 2];

        for (size_t i = 0; i < ELEMENTSOF(cases); i++)
                assert_int_equal(entry_link_check(cases[i].path, cases[i].target, NULL), cases[i].result);
        memset(target, 'x', sizeof(target));
        target[ENTRY_LINK_TARGET_MAX + 1] = '\0';
        assert_int_equal(entry_link_check("link", target, NULL), -EBADMSG);
        target[ENTRY_LINK_TARGET_MAX] = '\0';
        assert_int_equal(entry_link_check("link", target, NULL), 0);
}

static void test_clean(_unused_ void **state) {
        char buffer[8];

        assert_int_equal(entry_text_clean("a\nb\xff"
                                          "c",
                                          buffer, sizeof(buffer)),
                         5);
        assert_string_equal(buffer, "a?b?c");
        assert_int_equal(entry_text_clean("123456\xc3\xa9", buffer, sizeof(buffer)),
                         6); /* no half character */
        assert_string_equal(buffer, "123456");
        assert_int_equal(entry_text_clean("1234567890", buffer, sizeof(buffer)), 7);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_normalise),
                cmocka_unit_test(test_limits),
                cmocka_unit_test(test_links),
                cmocka_unit_test(test_clean),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
