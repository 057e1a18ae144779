#include <string.h>

#include "agent/base/cleanup.h"
#include "agent/base/parse.h"
#include "agent/cli/fleet.h"
#include "artifacts/json.h"
#include "tests/unit/test.h"

#define MINUTE (60 * USEC_PER_SEC)
#define NOW (UINT64_C(1795255200) * USEC_PER_SEC)

/* Adds what an instance reported so long ago. */
static void add(Fleet *fleet, const char *name, uint64_t age, const char *report) {
        FleetInstance *grown = reallocarray(fleet->items, fleet->n + 1, sizeof(*grown));

        assert_non_null(grown);
        fleet->items = grown;
        fleet->now = NOW;
        assert_int_equal(fleet_instance_read(name, NOW - age, report, strlen(report), &grown[fleet->n++]), 0);
}

static FleetCondition condition_of(uint64_t age, const char *report) {
        _cleanup_(fleet_deinit) Fleet fleet = {};

        add(&fleet, "i-1", age, report);
        fleet_judge(&fleet);
        return fleet.items[0].condition;
}

static void test_read(_unused_ void **state) {
        _cleanup_(fleet_deinit) Fleet fleet = {};
        const FleetInstance *i;
        uint64_t since;

        add(&fleet, "AROA:i-1", 0,
            "{\"instance\":\"i-1\",\"version\":\"1.4.2\",\"release_sha256\":\"ab\",\"state\":\"good\",\"reason\":\"runs\\u001b[31m\\n!\","
            "\"since\":\"2026-11-20T09:00:00Z\",\"report_interval\":\"90s\",\"agent_version\":\"0.1\",\"pin\":null,"
            "\"local_pin\":{\"version\":\"1.4.2\"},\"rollback\":{\"ready\":true,\"version\":\"1.4.1\"},"
            "\"installed\":[{\"role\":\"previous\",\"state\":\"drifted\",\"differences\":9},"
            "{\"role\":\"current\",\"state\":\"drifted\",\"differences\":2}],\"life\":{\"state\":\"in-service\"},"
            "\"launch\":{\"state\":\"continued\"},\"health_watch\":{\"state\":\"healthy\"},\"last_failure\":null,"
            "\"rollout\":{\"role\":\"waiting\"}}");
        i = &fleet.items[0];
        assert_string_equal(i->name, "AROA:i-1");
        assert_string_equal(i->instance, "i-1");
        assert_string_equal(i->version, "1.4.2");
        assert_string_equal(i->reason, "runs?[31m !");
        assert_int_equal(parse_time("2026-11-20T09:00:00Z", &since), 0);
        assert_int_equal(i->since, since);
        assert_int_equal(i->interval, 90 * USEC_PER_SEC);
        assert_string_equal(i->pin, "1.4.2");
        assert_null(i->group_pin);
        assert_string_equal(i->way_back, "1.4.1");
        assert_int_equal(i->drift, 2);
        assert_string_equal(i->life, "in-service");
        assert_string_equal(i->launch, "continued");
        assert_string_equal(i->health, "healthy");
        assert_null(i->last_failure);
        assert_non_null(i->rollout);
        assert_null(i->problem);
}

static void test_way_back_is_closed(_unused_ void **state) {
        _cleanup_(fleet_deinit) Fleet fleet = {};

        add(&fleet, "i-1", 0, "{\"rollback\":{\"ready\":false,\"version\":\"1.4.1\"}}");
        assert_null(fleet.items[0].way_back);
}

/* Whoever may write there may write anything. */
static void test_rubbish(_unused_ void **state) {
        static const char *const texts[] = {
                "",
                "{",
                "[]",
                "\"x\"",
                "{\"version\":1,\"installed\":{},\"life\":[],\"rollback\":7,\"since\":\"then\"}",
                "{\"a\":1,\"a\":2}",
                "{\"report_interval\":\"0\",\"state\":null}",
                "{\"report_interval\":\"9999d\"}",
        };

        for (size_t i = 0; i < ELEMENTSOF(texts); i++) {
                _cleanup_(fleet_deinit) Fleet fleet = {};

                add(&fleet, "i-1", 0, texts[i]);
                fleet_judge(&fleet);
                assert_int_equal(fleet.items[0].condition, FLEET_UNHEALTHY);
                assert_int_equal(fleet.items[0].interval, FLEET_INTERVAL_DEFAULT);
                assert_string_equal(fleet.items[0].instance, "i-1");
        }
}

#define GOOD "{\"state\":\"good\",\"version\":\"1\"}"

static void test_conditions(_unused_ void **state) {
        static const struct {
                const char *report;
                FleetCondition condition;
        } cases[] = {
                { GOOD, FLEET_HEALTHY },
                { "{\"state\":\"held\",\"version\":\"1\"}", FLEET_HEALTHY },
                { "{\"state\":\"fetching\",\"version\":\"1\"}", FLEET_HEALTHY },
                { "{\"state\":\"fetching\",\"version\":null}", FLEET_IDLE },
                { "{\"state\":\"good\",\"version\":\"1\",\"health_watch\":{\"state\":\"failing\"}}",
                  FLEET_UNHEALTHY },
                { "{\"state\":\"good\",\"version\":\"1\",\"health_watch\":{\"state\":\"healthy\"}}",
                  FLEET_HEALTHY },
                { "{\"state\":\"failed\"}", FLEET_UNHEALTHY },
                { "{\"state\":\"rollback-failed\",\"version\":\"1\"}", FLEET_UNHEALTHY },
                { "{\"state\":\"of a later muster\",\"version\":\"1\"}", FLEET_UNHEALTHY },
                { "{\"state\":\"deploying\",\"version\":\"1\"}", FLEET_CHANGING },
                { "{\"state\":\"rolling-back\",\"version\":\"1\"}", FLEET_CHANGING },
                { "{\"state\":\"checking\",\"version\":\"1\"}", FLEET_CHANGING },
                { "{\"state\":\"none\"}", FLEET_IDLE },
                { "{\"state\":\"stopped\",\"version\":\"1\"}", FLEET_IDLE },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++)
                if (condition_of(0, cases[i].report) != cases[i].condition)
                        fail_msg("%s: %s", cases[i].report,
                                 fleet_condition_to_string(condition_of(0, cases[i].report)));
}

static void test_silence(_unused_ void **state) {
        const char *fast = "{\"state\":\"good\",\"version\":\"1\",\"report_interval\":\"1m\"}",
                   *slow = "{\"state\":\"good\",\"version\":\"1\",\"report_interval\":\"1h\"}",
                   *leaves = "{\"state\":\"stopped\",\"version\":\"1\",\"life\":{\"state\":\"leaving\"}}";

        assert_int_equal(condition_of(15 * MINUTE, GOOD), FLEET_HEALTHY);
        assert_int_equal(condition_of(15 * MINUTE + 1, GOOD), FLEET_SILENT);
        assert_int_equal(condition_of(FLEET_GONE_AFTER, GOOD), FLEET_SILENT);
        assert_int_equal(condition_of(FLEET_GONE_AFTER + 1, GOOD), FLEET_GONE);
        assert_int_equal(condition_of(4 * MINUTE, fast), FLEET_SILENT);
        assert_int_equal(condition_of(170 * MINUTE, slow), FLEET_HEALTHY);
        assert_int_equal(condition_of(14 * MINUTE, leaves), FLEET_IDLE);
        assert_int_equal(condition_of(16 * MINUTE, leaves), FLEET_GONE);
        assert_int_equal(condition_of((uint64_t) -MINUTE, GOOD),
                         FLEET_HEALTHY); /* written while it was listed */
}

static void fill(Fleet *fleet) {
        add(fleet, "i-5", 0, "{\"state\":\"good\",\"version\":\"1.9\"}");
        add(fleet, "i-4", 0, "{\"state\":\"good\",\"version\":\"1.10\"}");
        add(fleet, "i-3", 0, "{\"state\":\"good\",\"version\":\"1.10\"}");
        add(fleet, "i-6", 0, "{\"state\":\"deploying\",\"version\":\"1.9\"}");
        add(fleet, "i-7", FLEET_GONE_AFTER + 1, "{\"state\":\"good\",\"version\":\"1.1\"}");
        add(fleet, "i-8", 60 * MINUTE, "{\"state\":\"good\",\"version\":\"1.9\"}");
        add(fleet, "i-9", 0, "{\"state\":\"none\"}");
        add(fleet, "i-0", 0, "{\"state\":\"failed\"}");
        add(fleet, "i-2", 0, "{\"state\":\"good\",\"version\":\"1.10\"}");
        fleet_judge(fleet);
}

static void test_order(_unused_ void **state) {
        _cleanup_(fleet_deinit) Fleet fleet = {};
        char order[64] = "";

        fill(&fleet);
        for (size_t i = 0; i < fleet.n; i++)
                (void) strcat(order, fleet.items[i].instance + 2);
        assert_string_equal(order, "086923457");
}

static void test_versions(_unused_ void **state) {
        _cleanup_(fleet_deinit) Fleet fleet = {};
        _cleanup_free_ FleetVersion *versions = NULL;
        size_t n;

        fill(&fleet);
        assert_int_equal(fleet_versions(&fleet, &versions, &n), 0);
        assert_int_equal(n, 3);
        assert_string_equal(versions[0].version, "1.10");
        assert_int_equal(versions[0].n, 3);
        assert_int_equal(versions[0].n_healthy, 3);
        assert_string_equal(versions[1].version, "1.9");
        assert_int_equal(versions[1].n, 2);
        assert_int_equal(versions[1].n_healthy, 1);
        assert_null(versions[2].version);
        assert_int_equal(versions[2].n, 2);
        assert_int_equal(fleet_count_present(&fleet), 7);
        assert_int_equal(fleet_count(&fleet, FLEET_GONE), 1);
}

static void test_serves(_unused_ void **state) {
        _cleanup_(fleet_deinit) Fleet fleet = {};
        size_t any = 0, nine = 0;

        fill(&fleet);
        for (size_t i = 0; i < fleet.n; i++) {
                any += fleet_instance_serves(&fleet.items[i], NULL);
                nine += fleet_instance_serves(&fleet.items[i], "1.9");
        }
        assert_int_equal(any, 4);
        assert_int_equal(nine, 1); /* not the one that changes, not the silent one */
}

static void test_to_json(_unused_ void **state) {
        _cleanup_(fleet_deinit) Fleet fleet = {};
        _cleanup_json_ json_t *summary = NULL, *instance = NULL;

        fill(&fleet);
        summary = fleet_summary_to_json(&fleet);
        assert_int_equal(json_integer_value(json_object_get(summary, "instances")), 7);
        assert_int_equal(json_integer_value(json_object_get(summary, "silent")), 1);
        assert_int_equal(json_array_size(json_object_get(summary, "versions")), 3);
        instance = fleet_instance_to_json(&fleet.items[0]);
        assert_string_equal(json_string_value(json_object_get(instance, "health")), "unhealthy");
        assert_true(json_is_null(json_object_get(instance, "since")));
        assert_true(json_is_string(json_object_get(instance, "last_contact")));
        assert_true(json_is_null(json_object_get(instance, "rollout")));
}

static void test_nobody(_unused_ void **state) {
        _cleanup_free_ FleetVersion *versions = NULL;
        Fleet fleet = { .now = NOW };
        size_t n = 1;

        fleet_judge(&fleet);
        assert_int_equal(fleet_versions(&fleet, &versions, &n), 0);
        assert_int_equal(n, 0);
        assert_int_equal(fleet_count_present(&fleet), 0);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_read),     cmocka_unit_test(test_way_back_is_closed),
                cmocka_unit_test(test_rubbish),  cmocka_unit_test(test_conditions),
                cmocka_unit_test(test_silence),  cmocka_unit_test(test_order),
                cmocka_unit_test(test_versions), cmocka_unit_test(test_serves),
                cmocka_unit_test(test_to_json),  cmocka_unit_test(test_nobody),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
