#include <string.h>

#include "agent/base/cleanup.h"
#include "tests/unit/test.h"
#include "units/unit_name.h"

static void test_valid_names(void **state) {
        static const char *const good[] = { "api.service",      "api@.service",  "api@1.service",
                                            "a.b-c_d:e.socket", "x\\x2dy.timer", "api.path",
                                            "api.target",       "api.slice" };
        static const char *const bad[] = { "",
                                           "api",
                                           ".service",
                                           "@.service",
                                           "api.",
                                           "api.mount",
                                           "api.swap",
                                           "api.scope",
                                           "api.device",
                                           "api.automount",
                                           "a b.service",
                                           "a/b.service",
                                           "../api.service",
                                           "api.service/",
                                           "a@b@c.service",
                                           "api.Service",
                                           "\xc3\xa4pi.service",
                                           "api.service\n",
                                           "%i.service" };
        char name[UNIT_NAME_MAX + 1];

        (void) state;
        for (size_t i = 0; i < ELEMENTSOF(good); i++)
                assert_true(unit_name_is_valid(good[i]));
        for (size_t i = 0; i < ELEMENTSOF(bad); i++)
                assert_false(unit_name_is_valid(bad[i]));
        memset(name, 'a', sizeof(name));
        memcpy(name + UNIT_NAME_MAX - strlen(".service"), ".service", sizeof(".service"));
        assert_false(unit_name_is_valid(name)); /* 256 characters */
        assert_true(unit_name_is_valid(name + 1));
}

static void test_templates(void **state) {
        (void) state;
        assert_true(unit_name_is_template("api@.service"));
        assert_false(unit_name_is_template("api@1.service"));
        assert_false(unit_name_is_template("api.service"));
        assert_string_equal(unit_name_type("api@1.2.socket"), "socket");
        assert_string_equal(unit_name_type("api"), "");
}

static void test_reserved(void **state) {
        static const char *const reserved[] = { "systemd-journald.service",
                                                "default.target",
                                                "-.slice",
                                                "musterd.service",
                                                "muster-recover.service",
                                                "muster.target",
                                                "dbus-org.freedesktop.login1.service" };
        static const char *const ours[] = { "api.service", "mustered.service", "musterdx.service",
                                            "dbusx.service" };

        (void) state;
        for (size_t i = 0; i < ELEMENTSOF(reserved); i++)
                assert_true(unit_name_is_reserved(reserved[i]));
        for (size_t i = 0; i < ELEMENTSOF(ours); i++)
                assert_false(unit_name_is_reserved(ours[i]));
}

static void check_escape(const char *text, const char *expected) {
        _cleanup_free_ char *escaped = NULL;

        assert_int_equal(unit_name_escape(text, &escaped), 0);
        assert_string_equal(escaped, expected);
}

static void test_escape(void **state) {
        (void) state;
        check_escape("api", "api");
        check_escape("api-x", "api\\x2dx");
        check_escape(".a.b", "\\x2ea.b");
        check_escape("1.4.2+b~1_c", "1.4.2\\x2bb\\x7e1_c");
        check_escape("\xc3\xa4 /", "\\xc3\\xa4\\x20\\x2f");
        check_escape("", "");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_valid_names),
                cmocka_unit_test(test_templates),
                cmocka_unit_test(test_reserved),
                cmocka_unit_test(test_escape),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
