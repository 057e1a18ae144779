#include <string.h>

#include "agent/base/cleanup.h"
#include "agent/base/clock.h"
#include "agent/base/parse.h"
#include "agent/deployment_id.h"
#include "tests/unit/test.h"

static uint64_t at(const char *text) {
        uint64_t usec;

        assert_int_equal(parse_time(text, &usec), 0);
        return usec;
}

static void test_text(_unused_ void **state) {
        char id[DEPLOYMENT_ID_SIZE];

        deployment_id_make(at("2026-11-21T09:05:07Z") + 250 * USEC_PER_MSEC, NULL, 0x3f2a, id);
        assert_string_equal(id, "d-20261121T090507.250Z-3f2a");
        deployment_id_make(at("2026-11-21T09:05:07Z"), "what is no id", 0, id);
        assert_string_equal(id, "d-20261121T090507.000Z-0000");
        deployment_id_make(UINT64_MAX, NULL, 0xffff, id);
        assert_int_equal(strlen(id), DEPLOYMENT_ID_SIZE - 1);
}

static void test_order(_unused_ void **state) {
        uint64_t now = at("2026-12-31T23:59:59Z") + 999 * USEC_PER_MSEC;
        char last[DEPLOYMENT_ID_SIZE], id[DEPLOYMENT_ID_SIZE];

        /* within a millisecond, with a random part that is smaller; then the clock is set back a day at each */
        deployment_id_make(now, NULL, 0xffff, last);
        for (int i = 0; i < 5; i++) {
                deployment_id_make(now, last, 0, id);
                assert_true(strcmp(id, last) > 0);
                memcpy(last, id, sizeof(last));
                now -= 86400 * USEC_PER_SEC;
        }
        deployment_id_make(at("2027-01-01T00:00:01Z"), last, 0, id);
        assert_string_equal(id, "d-20270101T000001.000Z-0000");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_text),
                cmocka_unit_test(test_order),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
