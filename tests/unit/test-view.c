#include <string.h>

#include "tests/unit/test.h"

#include "agent/cli/table.h"
#include "agent/cli/view.h"

#define NOW (UINT64_C(1767225600) * USEC_PER_SEC) /* 2026-01-01T00:00:00Z */

static const Style plain = { "", "", "", "", "" };

static char *status_of(const char *json) {
        char *text = NULL;
        size_t size;
        FILE *stream = open_memstream(&text, &size);
        Error error = {};

        if (view_status(json, NOW, stream, &plain, &error) < 0)
                fail_msg("%s", error.message);
        fclose(stream);
        return text;
}

static char *history_of(const char *json, bool detailed) {
        char *text = NULL;
        size_t size;
        FILE *stream = open_memstream(&text, &size);
        Error error = {};

        if (view_history(json, detailed, NOW, stream, &plain, &error) < 0)
                fail_msg("%s", error.message);
        fclose(stream);
        return text;
}

static void test_status(_unused_ void **state) {
        _cleanup_free_ char *text = status_of(
                "{\"agent_version\":\"1.0\",\"instance\":\"i-1\",\"group\":\"prod\",\"depot\":\"s3://d\",\"state\":\"ready\","
                "\"apps\":[{\"app\":\"api\",\"required\":true,\"state\":\"good\",\"version\":\"1.4.2\",\"serial\":18,"
                "\"since\":\"2025-12-31T21:00:00Z\",\"deployment\":null,\"last_failure\":{\"version\":\"1.4.1\",\"step\":"
                "\"HEALTH\",\"reason\":\"no\\nanswer\",\"at\":\"2025-12-30T00:00:00Z\"}}],"
                "\"launch\":{\"hook\":\"launch\",\"state\":\"waiting\",\"reason\":\"api is on its way\"},"
                "\"queue\":{\"queue\":\"prod\",\"shared\":true,\"state\":\"failing\",\"reason\":\"no answer\"}}");

        assert_string_equal(text, "instance  i-1 in group prod, musterd 1.0\n"
                                  "depot     s3://d\n"
                                  "queue     prod (shared): failing, no answer\n"
                                  "state     ready\n"
                                  "launch    hook launch: waiting, api is on its way\n"
                                  "\n"
                                  "APP  VERSION  STATE  SERIAL  REQUIRED  SINCE\n"
                                  "api  1.4.2    good   18      yes       3h ago\n"
                                  "\n"
                                  "api: 1.4.1 failed at HEALTH, 2d ago: no answer\n");
}

static void test_rollout(_unused_ void **state) {
        _cleanup_free_ char *waits = status_of(
                "{\"apps\":[{\"app\":\"api\",\"rollout\":{\"id\":\"r-1\",\"release\":\"1.5\",\"role\":\"in-line\",\"state\":"
                "\"active\",\"stage\":2,\"stages\":3,\"waits_for\":\"waits for a place\",\"holder\":\"i-1, i-2\"}}]}");
        _cleanup_free_ char *complete = status_of(
                "{\"apps\":[{\"app\":\"api\",\"rollout\":{\"id\":\"r-1\",\"release\":\"1.5\",\"role\":\"member\",\"state\":"
                "\"complete\",\"stage\":null}}]}");
        _cleanup_free_ char *none = status_of("{\"apps\":[{\"app\":\"api\",\"rollout\":null}]}");

        assert_non_null(strstr(
                waits, "\napi: rollout r-1 to 1.5 is active, stage 2 of 3; this instance: in-line, waits "
                       "for a place, held by i-1, i-2\n"));
        assert_non_null(strstr(
                complete, "\napi: rollout r-1 to 1.5 is complete; this instance: member; not finished yet: "
                          "muster rollout finish\n"));
        assert_null(strstr(none, "rollout"));
}

static void test_launch(_unused_ void **state) {
        _cleanup_free_ char *told = status_of(
                "{\"launch\":{\"hook\":\"muster\",\"hooks\":[\"muster\",\"muster-b\"],\"state\":\"continue\",\"alarm\":true,"
                "\"reason\":\"no route\"}}");
        _cleanup_free_ char *none = status_of(
                "{\"launch\":{\"hook\":null,\"hooks\":[],\"state\":\"none\",\"alarm\":false,\"reason\":\"\"}}");

        assert_non_null(
                strstr(told, "\nlaunch    hook muster, muster-b: continue, BUT THE GROUP COULD NOT BE TOLD, "
                             "no route\n"));
        assert_null(strstr(none, "launch"));
}

static void test_life(_unused_ void **state) {
        static const struct {
                const char *json, *line;
        } cases[] = {
                { "{\"life\":{\"state\":\"leaving\",\"reason\":\"EC2 says so\",\"problem\":\"\",\"leave\":{\"state\":\"telling\"}}}",
                  "\nlife      leaving: EC2 says so, telling\n" },
                { "{\"life\":{\"state\":\"standby\",\"reason\":\"in standby\",\"problem\":\"\",\"leave\":{\"state\":\"stays\"}}}",
                  "\nlife      standby: in standby\n" },
                { "{\"life\":{\"state\":\"in-service\",\"reason\":\"\",\"problem\":\"no answer\"}}",
                  "\nlife      in-service, no answer\n" },
                { "{\"life\":{\"state\":\"in-service\",\"reason\":\"\",\"problem\":\"\"}}", NULL },
                { "{\"life\":null}", NULL },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_free_ char *text = status_of(cases[i].json);

                if (cases[i].line)
                        assert_non_null(strstr(text, cases[i].line));
                else
                        assert_null(strstr(text, "life"));
        }
}

static void test_installed(_unused_ void **state) {
        _cleanup_free_ char *text = status_of(
                "{\"apps\":[{\"app\":\"api\",\"version\":\"1.2\",\"installed\":[{\"release\":\"1.2-abc\",\"role\":\"current\","
                "\"state\":\"drifted\",\"differences\":1,\"problem\":null,\"shown\":[\"bin/app: changed, other content\"]},"
                "{\"release\":\"1.1-abc\",\"role\":\"previous\",\"state\":\"whole\",\"shown\":[]}],"
                "\"rollback\":{\"ready\":true,\"version\":\"1.1\",\"reason\":null}},"
                "{\"app\":\"web\",\"version\":\"2\",\"installed\":[],"
                "\"rollback\":{\"ready\":false,\"version\":null,\"reason\":\"there is no release before this one\"}}]}");

        assert_non_null(strstr(text, "api: drifted: release 1.2-abc (current) is not as it was published\n"
                                     "  bin/app: changed, other content\n"
                                     "api: rollback ready: 1.1\n"
                                     "web: rollback not ready: there is no release before this one\n"));
}

static void test_undelivered(_unused_ void **state) {
        _cleanup_free_ char *text = status_of(
                "{\"undelivered\":[{\"what\":\"lifecycle action\",\"app\":null,\"since\":\"2025-12-31T21:00:00Z\","
                "\"reason\":\"throttled\"},{\"what\":\"report\",\"app\":\"api\",\"since\":\"2025-12-31T23:59:00Z\","
                "\"reason\":\"no\\nroute\"},{}]}");

        assert_non_null(strstr(text, "\nunsent    lifecycle action, made 3h ago: throttled\n"
                                     "unsent    report of api, made 1m ago: no route\n"
                                     "unsent    -, made -: -\n"));
}

static void test_status_of_little(_unused_ void **state) {
        _cleanup_free_ char *text = status_of("{}"), *strange = status_of("{\"apps\":[1,{}],\"state\":[]}");

        assert_string_equal(text, "instance  -, musterd -\n"
                                  "depot     none yet: see muster.conf(5)\n"
                                  "state     -\n");
        assert_non_null(strstr(strange, "APP"));
}

static void test_pins(_unused_ void **state) {
        _cleanup_free_ char *text = status_of(
                "{\"apps\":[{\"app\":\"api\",\"version\":\"1.0\",\"local_pin\":{\"version\":\"1.0\",\"reason\":"
                "\"heap \\u001b[2Jdump\",\"since\":\"2025-12-31T21:00:00Z\"},\"pin\":{\"version\":\"1.1\",\"urgent\":"
                "true,\"reason\":\"1.2 is bad\",\"since\":\"2025-12-31T23:59:59Z\"}}]}");
        _cleanup_free_ char *strange = status_of("{\"apps\":[{\"local_pin\":{},\"pin\":{}}]}");

        assert_non_null(strstr(text, "\napi: PINNED ON THIS INSTANCE to 1.0, 3h ago: heap ?[2Jdump\n"
                                     "api: the group is pinned to 1.1, 1s ago, urgent: 1.2 is bad\n"));
        assert_non_null(strstr(strange, "\n-: PINNED ON THIS INSTANCE to -, -: -\n"
                                        "-: the group is pinned to -, -: no reason was given\n"));
}

/* What the app's reason says already is not said again. */
static void test_failure_that_is_the_reason(_unused_ void **state) {
        _cleanup_free_ char *text = status_of(
                "{\"apps\":[{\"app\":\"api\",\"reason\":\"release 2 failed in HEALTH: no answer\",\"last_failure\":{"
                "\"version\":\"2\",\"step\":\"HEALTH\",\"reason\":\"no answer\",\"at\":\"2025-12-31T21:00:00Z\"}}]}");

        assert_non_null(strstr(
                text, "\napi: release 2 failed in HEALTH: no answer\napi: 2 failed at HEALTH, 3h ago\n"));
}

static void test_service(_unused_ void **state) {
        _cleanup_free_ char *bad = status_of(
                "{\"apps\":[{\"app\":\"api\",\"out_of_traffic\":{\"target_groups\":\"api:8080\",\"problem\":\"Throttling\"},"
                "\"health_watch\":{\"state\":\"unhealthy\",\"reason\":\"status 503\",\"replacement\":\"not replaced\"}}]}");
        _cleanup_free_ char *good = status_of(
                "{\"apps\":[{\"app\":\"api\",\"out_of_traffic\":null,\"health_watch\":{\"state\":\"healthy\",\"reason\":\"\"}}]}");

        assert_non_null(strstr(bad, "api: out of its target groups (api:8080): Throttling\n"));
        assert_non_null(strstr(bad, "api: health checks: unhealthy: status 503; not replaced\n"));
        assert_null(strstr(good, "health checks"));
        assert_null(strstr(good, "target groups"));
}

/* An instance that does not see its depot serves all the same, but nobody must think that it follows. */
static void test_target_problem(_unused_ void **state) {
        _cleanup_free_ char *text = status_of(
                "{\"apps\":[{\"app\":\"api\",\"version\":\"1.0\",\"reason\":\"it serves\",\"target_problem\":\"no bucket\"}]}");
        _cleanup_free_ char *once = status_of(
                "{\"apps\":[{\"app\":\"api\",\"reason\":\"no bucket\",\"target_problem\":\"no bucket\"}]}");

        assert_non_null(strstr(
                text, "\napi: it serves\napi: what its group should run could not be read: no bucket\n"));
        assert_non_null(strstr(once, "\napi: no bucket\n"));
        assert_null(strstr(once, "could not be read"));
}

static void test_history(_unused_ void **state) {
        static const char json[] =
                "{\"deployments\":[{\"id\":\"d-1\",\"app\":\"api\",\"version\":\"2\",\"from_version\":\"1\",\"started\":"
                "\"2025-12-31T23:59:00Z\",\"finished\":\"2025-12-31T23:59:09Z\",\"outcome\":\"rolled-back\",\"reason\":"
                "\"bad\",\"steps\":[{\"step\":\"AFTER_INSTALL\",\"event\":\"AfterInstall\",\"result\":\"failed\","
                "\"seconds\":1.25,\"output_tail\":\"one\\n\\u001b[2Jtwo\"}]}]}";
        _cleanup_free_ char *list = history_of(json, false), *steps = history_of(json, true);
        _cleanup_free_ char *none = history_of("{}", false);

        assert_string_equal(list, "DEPLOYMENT  APP  VERSION  STARTED  OUTCOME      REASON\n"
                                  "d-1         api  1 -> 2   1m ago   rolled-back  bad\n");
        assert_string_equal(steps, "d-1 api: 1 -> 2\n"
                                   "  2025-12-31T23:59:00Z to 2025-12-31T23:59:09Z: rolled-back: bad\n"
                                   "    AfterInstall             failed            1.2s\n"
                                   "      | one\n"
                                   "      | ?[2Jtwo\n");
        assert_string_equal(none, "nothing was deployed yet\n");
}

static void test_refused(_unused_ void **state) {
        static const char *const texts[] = { "", "nonsense", "[]", "{\"a\":1,\"a\":2}", "{} {}" };

        for (size_t i = 0; i < ELEMENTSOF(texts); i++) {
                Error error = {};

                assert_int_equal(view_status(texts[i], NOW, stdout, &plain, &error), -EBADMSG);
                assert_int_equal(view_history(texts[i], true, NOW, stdout, &plain, NULL), -EBADMSG);
                assert_non_null(strstr(error.message, "musterd's status is no JSON"));
        }
}

static void test_table(_unused_ void **state) {
        _cleanup_table_ Table table = { .n_columns = 3 };
        _cleanup_free_ char *text = NULL;
        const Style style = { .strong = "<", .off = ">" };
        size_t size;
        FILE *stream = open_memstream(&text, &size);

        assert_int_equal(table_add(&table, TABLE_ROW("A", "LONGER", "C")), 0);
        assert_int_equal(table_add(&table, TABLE_ROW("wide", NULL, "the last one is not padded")), 0);
        table_print(&table, stream, &style);
        fclose(stream);
        assert_string_equal(text, "<A     LONGER  C>\nwide  -       the last one is not padded\n");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_status),
                cmocka_unit_test(test_rollout),
                cmocka_unit_test(test_launch),
                cmocka_unit_test(test_life),
                cmocka_unit_test(test_installed),
                cmocka_unit_test(test_undelivered),
                cmocka_unit_test(test_status_of_little),
                cmocka_unit_test(test_pins),
                cmocka_unit_test(test_service),
                cmocka_unit_test(test_target_problem),
                cmocka_unit_test(test_failure_that_is_the_reason),
                cmocka_unit_test(test_history),
                cmocka_unit_test(test_refused),
                cmocka_unit_test(test_table),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
