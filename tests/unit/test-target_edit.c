#include <string.h>

#include "tests/unit/test.h"

#include "agent/base/cleanup.h"
#include "agent/cli/target_edit.h"

#define SHA "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define OTHER "fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210"
#define TIME (UINT64_C(1767225600) * 1000000) /* 2026-01-01T00:00:00Z */

static const TargetEdit plain = {
        .app = "api", .group = "prod", .serial = 18, .issued = TIME, .version = "1.4.2", .release_sha256 = SHA
};

static void check(const TargetEdit *edit, const char *old, const char *expected) {
        _cleanup_free_ char *text = NULL;
        Error error = {};
        size_t size;

        if (target_edit(edit, old, old ? strlen(old) : 0, &text, &size, &error) < 0)
                fail_msg("%s", error.message);
        assert_string_equal(text, expected);
        assert_int_equal(size, strlen(expected));
}

static void refuse(const TargetEdit *edit, const char *old, int r, const char *message) {
        char *text = NULL;
        Error error = {};
        size_t size;

        assert_int_equal(target_edit(edit, old, old ? strlen(old) : 0, &text, &size, &error), r);
        assert_null(text);
        if (!strstr(error.message, message))
                fail_msg("%s", error.message);
}

#define BEGIN "{\"app\":\"api\","
#define STABLE(version, sha) "\"stable\":{\"release_sha256\":\"" sha "\",\"version\":\"" version "\"}"

static void test_first(_unused_ void **state) {
        check(&plain, NULL,
              BEGIN "\"group\":\"prod\",\"issued\":\"2026-01-01T00:00:00Z\",\"serial\":18," STABLE("1.4.2",
                                                                                                   SHA) "}");
}

#define PREVIOUS(version, sha) "\"previous\":{\"release_sha256\":\"" sha "\",\"version\":\"" version "\"},"
#define OLD_TIMES "\"group\":\"prod\",\"issued\":\"2025-01-01T00:00:00Z\","
#define NEW_TIMES "\"group\":\"prod\",\"issued\":\"2026-01-01T00:00:00Z\","

/* The candidate and its rollout go; what this version does not know stays. */
static void test_keeps_the_rest(_unused_ void **state) {
        check(&plain,
              BEGIN "\"candidate\":{\"release_sha256\":\"" SHA
                    "\",\"version\":\"1.5\"},\"env\":{\"A\":\"1\"},\"group\":\"prod\","
                    "\"issued\":\"2025-01-01T00:00:00Z\",\"max_parallel\":\"25%\",\"novelty\":[1,2],"
                    "\"rollout\":{\"id\":\"r-1\",\"stages\":[{\"percent\":100}]},\"serial\":17," STABLE(
                            "1.4.1", OTHER) "}",
              BEGIN "\"env\":{\"A\":\"1\"},\"group\":\"prod\",\"issued\":\"2026-01-01T00:00:00Z\","
                    "\"max_parallel\":\"25%\",\"novelty\":[1,2]," PREVIOUS(
                            "1.4.1", OTHER) "\"serial\":18," STABLE("1.4.2", SHA) "}");
}

/* The stable release of before is the previous one; other edits keep it. */
static void test_previous(_unused_ void **state) {
        TargetEdit edit = plain;

        check(&edit, BEGIN OLD_TIMES PREVIOUS("1.4.0", OTHER) "\"serial\":17," STABLE("1.4.2", SHA) "}",
              BEGIN NEW_TIMES PREVIOUS("1.4.0", OTHER) "\"serial\":18," STABLE("1.4.2", SHA) "}");
        edit.version = "1.4.0";
        edit.release_sha256 = OTHER;
        check(&edit, BEGIN OLD_TIMES PREVIOUS("1.4.0", OTHER) "\"serial\":17," STABLE("1.4.2", SHA) "}",
              BEGIN NEW_TIMES PREVIOUS("1.4.2", SHA) "\"serial\":18," STABLE("1.4.0", OTHER) "}");
}

static void test_pin(_unused_ void **state) {
        TargetEdit edit = plain;

        edit.pinned = true;
        edit.reason = "it \"loses\" orders";
        check(&edit, BEGIN OLD_TIMES "\"serial\":17," STABLE("1.4.1", OTHER) ",\"urgent\":true}",
              BEGIN NEW_TIMES "\"pinned\":true," PREVIOUS(
                      "1.4.1",
                      OTHER) "\"reason\":\"it \\\"loses\\\" orders\",\"serial\":18," STABLE("1.4.2",
                                                                                            SHA) "}");
        edit.urgent = true;
        check(&edit,
              BEGIN OLD_TIMES "\"pinned\":true,\"reason\":\"old\",\"serial\":17," STABLE("1.4.2", SHA) "}",
              BEGIN NEW_TIMES "\"pinned\":true,\"reason\":\"it \\\"loses\\\" orders\",\"serial\":18," STABLE(
                      "1.4.2", SHA) ",\"urgent\":true}");
        edit.reason = "bad \xff byte";
        refuse(&edit, NULL, -EINVAL, "the reason: expected UTF-8 text");
        edit.reason = "two\nlines";
        refuse(&edit, NULL, -EBADMSG, "reason");
}

/* What the pin took the group away from is nothing to go back to. */
static void test_unpin(_unused_ void **state) {
        static const char pinned[] = BEGIN OLD_TIMES "\"pinned\":true," PREVIOUS(
                "1.4.9", OTHER) "\"reason\":\"bad\",\"serial\":17," STABLE("1.4.2", SHA) ",\"urgent\":true}";

        check(&plain, pinned, BEGIN NEW_TIMES "\"serial\":18," STABLE("1.4.2", SHA) "}");
}

#define CANDIDATE "\"candidate\":{\"release_sha256\":\"" OTHER "\",\"version\":\"1.5\"},"
#define ROLLOUT                                                                                              \
        "\"rollout\":{\"id\":\"r-1\",\"not_before\":\"2026-01-01T00:00:00Z\",\"stages\":[{\"percent\":100}]},"

/* What is stable stays, and where it came from. */
static void test_candidate(_unused_ void **state) {
        json_auto_t *rollout = json_pack("{s:s, s:s, s:[{s:i}]}", "id", "r-1", "not_before",
                                         "2026-01-01T00:00:00Z", "stages", "percent", 100);
        TargetEdit edit = plain;

        edit.kind = TARGET_EDIT_CANDIDATE;
        edit.version = "1.5";
        edit.release_sha256 = OTHER;
        edit.rollout = rollout;
        edit.max_parallel = (TargetShare){ .percent = 25 };
        check(&edit,
              BEGIN OLD_TIMES PREVIOUS("1.4.0", OTHER) "\"serial\":17," STABLE("1.4.2",
                                                                               SHA) ",\"urgent\":true}",
              BEGIN CANDIDATE NEW_TIMES "\"max_parallel\":\"25%\"," PREVIOUS("1.4.0", OTHER) ROLLOUT
              "\"serial\":18," STABLE("1.4.2", SHA) "}");
        edit.release_sha256 = SHA;
        refuse(&edit, BEGIN OLD_TIMES "\"serial\":17," STABLE("1.4.2", SHA) "}", -EBADMSG,
               "the candidate is the stable release");
}

/* A rollout, or a pin, stays as it is. */
static void test_values(_unused_ void **state) {
        static const char rollout[] =
                BEGIN CANDIDATE OLD_TIMES ROLLOUT "\"serial\":17," STABLE("1.4.2", SHA) ",\"urgent\":true}";
        static const char pinned[] =
                BEGIN "\"freeze\":[]," OLD_TIMES
                      "\"pinned\":true,\"reason\":\"x\",\"serial\":17," STABLE("1.4.2", SHA) "}";
        json_auto_t *freeze = json_array();
        TargetEdit edit = { .kind = TARGET_EDIT_VALUES,
                            .app = "api",
                            .group = "prod",
                            .serial = 18,
                            .issued = TIME,
                            .max_parallel = { .count = 3 } };

        check(&edit, rollout,
              BEGIN CANDIDATE NEW_TIMES "\"max_parallel\":3," ROLLOUT
                                        "\"serial\":18," STABLE("1.4.2", SHA) ",\"urgent\":true}");
        edit.freeze = freeze;
        edit.max_parallel = (TargetShare){};
        check(&edit, pinned,
              BEGIN NEW_TIMES "\"pinned\":true,\"reason\":\"x\",\"serial\":18," STABLE("1.4.2", SHA) "}");
        json_array_append_new(freeze, json_pack("{s:s, s:s}", "from", "2026-01-01T00:00:00Z", "until",
                                                "2026-01-02T00:00:00Z"));
        check(&edit, pinned,
              BEGIN
              "\"freeze\":[{\"from\":\"2026-01-01T00:00:00Z\",\"until\":\"2026-01-02T00:00:00Z\"}]," NEW_TIMES
              "\"pinned\":true,\"reason\":\"x\",\"serial\":18," STABLE("1.4.2", SHA) "}");
}

static void test_environment(_unused_ void **state) {
        TargetEdit edit = plain;

        edit.set = (char *[]){ "B=x=y", "A=", "C=\xc3\xa4", NULL };
        edit.unset = (char *[]){ "OLD", "NEVER_WAS", NULL };
        check(&edit,
              BEGIN "\"env\":{\"A\":\"1\",\"KEPT\":\"2\",\"OLD\":\"3\"},\"group\":\"prod\","
                    "\"issued\":\"2025-01-01T00:00:00Z\",\"serial\":17," STABLE("1.4.2", SHA) "}",
              BEGIN "\"env\":{\"A\":\"\",\"B\":\"x=y\",\"C\":\"\xc3\xa4\",\"KEPT\":\"2\"},\"group\":\"prod\","
                    "\"issued\":\"2026-01-01T00:00:00Z\",\"serial\":18," STABLE("1.4.2", SHA) "}");

        edit.set = NULL;
        check(&edit,
              BEGIN
              "\"env\":{\"OLD\":\"3\"},\"group\":\"prod\",\"issued\":\"2025-01-01T00:00:00Z\",\"serial\":17," STABLE(
                      "1.4.2", SHA) "}",
              BEGIN "\"group\":\"prod\",\"issued\":\"2026-01-01T00:00:00Z\",\"serial\":18," STABLE("1.4.2",
                                                                                                   SHA) "}");
}

static void test_refused(_unused_ void **state) {
        static const char *const words[] = { "A", "=x", "", "MUSTER_X=1", "1A=1", "A B=1", "A=\xff" };

        for (size_t i = 0; i < ELEMENTSOF(words); i++) {
                TargetEdit edit = plain;
                _cleanup_free_ char *text = NULL;
                Error error = {};
                size_t size;

                edit.set = (char *[]){ (char *) words[i], NULL };
                assert_true(target_edit(&edit, NULL, 0, &text, &size, &error) < 0);
                assert_non_null(strstr(error.message, "env"));
        }
        refuse(&plain, "[]", -EBADMSG, "target");
        refuse(&plain, "nonsense", -EBADMSG, "target");
        refuse(&plain, "{\"critical\":[\"magic\"],\"magic\":1}", -EPROTONOSUPPORT, "magic");
}

static void test_says_the_same(_unused_ void **state) {
        static const char a[] = "{\"app\":\"api\",\"serial\":1,\"issued\":\"x\",\"env\":{\"A\":\"1\"}}";
        static const char b[] = "{\"app\":\"api\",\"env\":{\"A\":\"1\"},\"serial\":2,\"issued\":\"y\"}";
        static const char c[] = "{\"app\":\"api\",\"env\":{\"A\":\"2\"},\"serial\":1,\"issued\":\"x\"}";

        assert_true(target_says_the_same(a, strlen(a), b, strlen(b)));
        assert_false(target_says_the_same(a, strlen(a), c, strlen(c)));
        assert_false(target_says_the_same(a, strlen(a), "x", 1));
        assert_false(target_says_the_same("x", 1, "x", 1));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_first),    cmocka_unit_test(test_keeps_the_rest),
                cmocka_unit_test(test_previous), cmocka_unit_test(test_pin),
                cmocka_unit_test(test_unpin),    cmocka_unit_test(test_candidate),
                cmocka_unit_test(test_values),   cmocka_unit_test(test_environment),
                cmocka_unit_test(test_refused),  cmocka_unit_test(test_says_the_same),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
