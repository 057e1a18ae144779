#include <stdlib.h>

#include "tests/unit/test.h"

#include "agent/base/cleanup.h"
#include "agent/public_view.h"

static void check(const char *value, const char *expected) {
        json_t *json = json_loads(value, JSON_DECODE_ANY, NULL);
        char *text;

        assert_non_null(json);
        assert_int_equal(public_view_make(json), 0);
        text = json_dumps(json, JSON_COMPACT | JSON_ENCODE_ANY);
        assert_string_equal(text, expected);
        free(text);
        json_decref(json);
}

static void test_nothing_to_hide(_unused_ void **state) {
        check("{\"state\":\"ready\",\"apps\":[{\"reason\":\"exit status 1\",\"since\":7,\"pin\":null}]}",
              "{\"state\":\"ready\",\"apps\":[{\"reason\":\"exit status 1\",\"since\":7,\"pin\":null}]}");
        check("true", "true");
        check("{}", "{}");
}

/* Wherever it stands: a reason, the reason of the last failure, of the launch, of a step. */
static void test_quotes(_unused_ void **state) {
        check("{\"launch\":{\"reason\":\"api: one: exit status 1; its last output: PASSWORD=x\"},"
              "\"apps\":[{\"last_failure\":{\"reason\":\"two: exit status 2; its last output: a; its last output: b\"}}]}",
              "{\"launch\":{\"reason\":\"api: one: exit status 1\"},"
              "\"apps\":[{\"last_failure\":{\"reason\":\"two: exit status 2\"}}]}");
        check("\"; its last output: x\"", "\"\"");
}

static void test_output(_unused_ void **state) {
        check("{\"deployments\":[{\"steps\":[{\"step\":\"X\",\"output_tail\":\"PASSWORD=x\"}]}]}",
              "{\"deployments\":[{\"steps\":[{\"step\":\"X\"}]}]}");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_nothing_to_hide),
                cmocka_unit_test(test_quotes),
                cmocka_unit_test(test_output),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
