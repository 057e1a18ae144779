#include <string.h>

#include "agent/base/cleanup.h"
#include "agent/cli/fleet_view.h"
#include "artifacts/json.h"
#include "tests/unit/test.h"

#define NOW (UINT64_C(1795255200) * USEC_PER_SEC) /* 2026-11-21T10:00:00Z */

static const Style plain = { "", "", "", "", "" };
static const Style coloured = { "<b>", "<good>", "<bad>", "<faint>", "</>" };

static void add(Fleet *fleet, const char *name, uint64_t seconds, const char *report) {
        FleetInstance *grown = reallocarray(fleet->items, fleet->n + 1, sizeof(*grown));

        assert_non_null(grown);
        fleet->items = grown;
        fleet->now = NOW;
        assert_int_equal(fleet_instance_read(name, NOW - seconds * USEC_PER_SEC, report, strlen(report),
                                             &grown[fleet->n++]),
                         0);
}

static void fill(Fleet *fleet) {
        add(fleet, "i-1", 20,
            "{\"version\":\"1.4.2\",\"state\":\"good\",\"since\":\"2026-11-21T07:00:00Z\",\"reason\":\"it is fine\","
            "\"rollback\":{\"ready\":true,\"version\":\"1.4.1\"},\"life\":{\"state\":\"in-service\"}}");
        add(fleet, "i-2", 0,
            "{\"version\":\"1.4.1\",\"state\":\"held\",\"reason\":\"release 1.4.2 failed here\","
            "\"local_pin\":{\"version\":\"1.4.1\"},\"launch\":{\"state\":\"holding\"},\"life\":{\"state\":\"standby\"},"
            "\"installed\":[{\"role\":\"current\",\"state\":\"drifted\",\"differences\":1}],"
            "\"rollout\":{\"waits_for\":\"a place\"}}");
        add(fleet, "i-3", 7200, "{\"version\":\"1.4.1\",\"state\":\"good\"}");
        add(fleet, "i-4", 300000, "{\"version\":\"1.3\",\"state\":\"good\"}");
        add(fleet, "i-5", 1, "{");
        fleet_judge(fleet);
}

static char *print(const Fleet *fleet, const FleetFilter *filter, const Style *style) {
        char *text = NULL;
        size_t size;
        FILE *stream = open_memstream(&text, &size);

        assert_non_null(stream);
        assert_int_equal(fleet_view_print(fleet, filter, stream, style), 0);
        fclose(stream);
        return text;
}

static void test_table(_unused_ void **state) {
        _cleanup_(fleet_deinit) Fleet fleet = {};
        _cleanup_free_ char *text = NULL;

        fill(&fleet);
        text = print(&fleet, &(FleetFilter){}, &plain);
        assert_string_equal(
                text,
                "3 instances: 1 on 1.4.2, 1 on 1.4.1, 1 on nothing; 2 healthy, 1 unhealthy; 1 silent, 1 gone\n"
                "\n"
                "INSTANCE  VERSION  HEALTH     STATE  SINCE   CONTACT   WAY BACK  REMARKS\n"
                "i-5       -        unhealthy  -      -       1s ago    -         its report: not valid JSON: line 1: "
                "string or '}' expected near end of file\n"
                "i-3       1.4.1    silent     good   -       2h ago    -\n"
                "i-1       1.4.2    healthy    good   3h ago  20s ago   1.4.1\n"
                "i-2       1.4.1    healthy    held   -       just now  -         pinned here to 1.4.1; 1 file drifted; standby; "
                "its launch is held; release 1.4.2 failed here; a place\n");
}

/* As who was heard of last tells it; a pin is none. */
static void test_rollout(_unused_ void **state) {
        static const struct {
                const char *older, *newer, *told;
        } cases[] = {
                { "{\"id\":\"r-1\",\"release\":\"2\",\"state\":\"active\"}",
                  "{\"id\":\"r-1\",\"release\":\"2\",\"state\":\"complete\"}",
                  "; rollout r-1 to 2 is complete and has yet to be finished\n" },
                { "null", "{\"id\":\"r-1\",\"release\":\"2\",\"state\":\"paused\"}",
                  "; rollout r-1 to 2 is paused\n" },
                { "{\"id\":\"r-1\",\"release\":\"2\",\"state\":\"complete\"}", "null", "; 2 healthy\n" },
                { "null", "{\"id\":\"serial-4\",\"release\":\"2\",\"state\":\"active\"}", "; 2 healthy\n" },
                { "null", "{\"id\":7,\"state\":\"active\"}", "; 2 healthy\n" },
                { "null", "{\"id\":\"r-1\",\"release\":[],\"state\":null}", "; 2 healthy\n" },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_(fleet_deinit) Fleet fleet = {};
                _cleanup_free_ char *text = NULL;
                char report[256];

                snprintf(report, sizeof(report), "{\"version\":\"1\",\"state\":\"good\",\"rollout\":%s}",
                         cases[i].older);
                add(&fleet, "i-1", 20, report);
                snprintf(report, sizeof(report), "{\"version\":\"1\",\"state\":\"good\",\"rollout\":%s}",
                         cases[i].newer);
                add(&fleet, "i-2", 10, report);
                fleet_judge(&fleet);
                text = print(&fleet, &(FleetFilter){ .version = "none" }, &plain);
                assert_non_null(strstr(text, cases[i].told));
        }
}

/* How many instances are listed; the summary is always of all. */
static size_t listed(const Fleet *fleet, FleetFilter filter) {
        _cleanup_free_ char *text = print(fleet, &filter, &plain);
        size_t lines = 0;

        assert_int_equal(strncmp(text, "3 instances: ", 13), 0);
        for (const char *p = text; (p = strchr(p, '\n')); p++)
                lines++;
        return lines == 1 ? 0 : lines - 3;
}

static void test_filters(_unused_ void **state) {
        _cleanup_(fleet_deinit) Fleet fleet = {};
        _cleanup_json_ json_t *json = NULL;

        fill(&fleet);
        assert_int_equal(listed(&fleet, (FleetFilter){ .gone = true }), 5);
        assert_int_equal(listed(&fleet, (FleetFilter){ .version = "1.4.1" }), 2);
        assert_int_equal(listed(&fleet, (FleetFilter){ .version = "1.3" }), 0);
        assert_int_equal(listed(&fleet, (FleetFilter){ .version = "1.3", .gone = true }), 1);
        assert_int_equal(listed(&fleet, (FleetFilter){ .unhealthy = true }), 2);
        assert_int_equal(listed(&fleet, (FleetFilter){ .unhealthy = true, .version = "1.4.2" }), 0);
        json = fleet_view_to_json(&fleet, &(FleetFilter){ .version = "1.4.1" });
        assert_int_equal(json_array_size(json_object_get(json, "instances")), 2);
}

static void test_colour(_unused_ void **state) {
        _cleanup_(fleet_deinit) Fleet fleet = {};
        _cleanup_free_ char *text = NULL;

        fill(&fleet);
        text = print(&fleet, &(FleetFilter){}, &coloured);
        assert_non_null(strstr(text, "\n<b>INSTANCE"));
        assert_non_null(strstr(text, "\n<bad>i-5"));
        assert_non_null(strstr(text, "end of file</>\n<faint>i-3"));
        assert_non_null(strstr(text, "\ni-1"));
}

static void test_nobody(_unused_ void **state) {
        const Fleet fleet = { .now = NOW };
        _cleanup_free_ char *text = print(&fleet, &(FleetFilter){}, &coloured);

        assert_string_equal(text, "no instances\n");
}

static char *nobody(const Fleet *fleet, FleetFilter filter) {
        char *text;

        assert_int_equal(fleet_view_nobody(fleet, &filter, "s3://depot/api", &text), 0);
        return text;
}

/* What was looked at, and what to do about it. */
static void test_why_nobody(_unused_ void **state) {
        _cleanup_(fleet_deinit) Fleet gone = { .now = NOW }, fleet = {};
        const Fleet none = { .now = NOW };
        _cleanup_free_ char *never = nobody(&none, (FleetFilter){}), *over = NULL, *listed_gone = NULL,
                            *some = NULL;

        assert_non_null(strstr(never, "No instance has ever reported to s3://depot/api\n"));
        assert_non_null(strstr(never, "muster doctor"));
        add(&gone, "i-1", 300000, "{\"version\":\"1.3\",\"state\":\"good\"}");
        add(&gone, "i-2", 200000, "{\"version\":\"1.3\",\"state\":\"good\"}");
        fleet_judge(&gone);
        over = nobody(&gone, (FleetFilter){});
        assert_string_equal(over,
                            "The last report to s3://depot/api came 2d ago; --gone lists who made it.\n");
        listed_gone = nobody(&gone, (FleetFilter){ .gone = true });
        assert_string_equal(listed_gone, "");
        fill(&fleet);
        some = nobody(&fleet, (FleetFilter){ .version = "9.9" });
        assert_string_equal(some, "");
}

/* What a hook printed may be anything, and is not for a table. */
static void test_output_is_left_out(_unused_ void **state) {
        _cleanup_(fleet_deinit) Fleet fleet = {};
        _cleanup_free_ char *text = NULL;

        add(&fleet, "i-1", 0, "{\"state\":\"failed\",\"reason\":\"the hook failed; its last output: boom\"}");
        fleet_judge(&fleet);
        text = print(&fleet, &(FleetFilter){}, &plain);
        assert_non_null(strstr(text, "the hook failed\n"));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_table),
                cmocka_unit_test(test_rollout),
                cmocka_unit_test(test_filters),
                cmocka_unit_test(test_colour),
                cmocka_unit_test(test_nobody),
                cmocka_unit_test(test_why_nobody),
                cmocka_unit_test(test_output_is_left_out),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
