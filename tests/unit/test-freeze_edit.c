#include <string.h>

#include "tests/unit/test.h"

#include "agent/base/clock.h"
#include "agent/cli/freeze_edit.h"

#define NOW (UINT64_C(1767225600) * USEC_PER_SEC) /* 2026-01-01T00:00:00Z */
#define HOUR (3600 * USEC_PER_SEC)

static TargetFreeze windows[] = {
        { NOW + 5 * HOUR, NOW + 6 * HOUR, NULL },
        { NOW - 2 * HOUR, NOW, (char *) "past" },
        { NOW - 1 * HOUR, NOW + HOUR, (char *) "sale" },
};
static const Target target = { .freeze = { .items = windows, .n = ELEMENTSOF(windows) } };

static void check(json_t *list, const char *expected) {
        json_auto_t *owned = list;
        _cleanup_free_ char *text = json_dumps(owned, JSON_COMPACT | JSON_SORT_KEYS);

        assert_string_equal(text, expected);
}

#define LATER "{\"from\":\"2026-01-01T05:00:00Z\",\"until\":\"2026-01-01T06:00:00Z\"}"
#define SALE "{\"from\":\"2025-12-31T23:00:00Z\",\"reason\":\"sale\",\"until\":\"2026-01-01T01:00:00Z\"}"

/* What has passed goes with any edit. */
static void test_edit(_unused_ void **state) {
        const TargetFreeze added = { NOW + 9 * HOUR, NOW + 10 * HOUR, (char *) "new" };

        check(freeze_edit(&target, NOW, NULL, 0), "[" LATER "," SALE "]");
        check(freeze_edit(&target, NOW, NULL, NOW - HOUR), "[" LATER "]");
        check(freeze_edit(&target, NOW, &added, added.from),
              "[" LATER "," SALE
              ",{\"from\":\"2026-01-01T09:00:00Z\",\"reason\":\"new\",\"until\":\"2026-01-01T10:00:00Z\"}]");
        check(freeze_edit(&(Target){}, NOW, NULL, 0), "[]");
}

static void test_list(_unused_ void **state) {
        check(freeze_list(&target, NOW),
              "[{\"from\":\"2025-12-31T22:00:00Z\",\"reason\":\"past\",\"state\":\"past\",\"until\":\"2026-01-01T00:00:00Z\"},"
              "{\"from\":\"2025-12-31T23:00:00Z\",\"reason\":\"sale\",\"state\":\"holds\",\"until\":\"2026-01-01T01:00:00Z\"},"
              "{\"from\":\"2026-01-01T05:00:00Z\",\"state\":\"comes\",\"until\":\"2026-01-01T06:00:00Z\"}]");
        check(freeze_list(&(Target){}, NOW), "[]");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_edit),
                cmocka_unit_test(test_list),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
