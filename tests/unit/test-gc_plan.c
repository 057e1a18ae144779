#include <string.h>

#include "agent/base/cleanup.h"
#include "agent/base/clock.h"
#include "agent/cli/gc_plan.h"
#include "tests/unit/test.h"

#define DAY (86400 * USEC_PER_SEC)
#define NOW (20000 * DAY)
#define OLD (NOW - 31 * DAY)
#define YOUNG (NOW - 29 * DAY)
#define A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define PROD "apps/api/groups/prod/"
#define DEAD "apps/api/groups/dead/"

/* The app api runs 1.4 in prod, where the rollout r-2 goes on. */
static void need(GcNeeds *needs) {
        *needs = (GcNeeds){ .now = NOW, .age = 30 * DAY };
        assert_int_equal(gc_needs_add_group(needs, "api", "prod", "r-2"), 0);
        assert_int_equal(gc_names_add(&needs->releases, "api", "1.4"), 0);
        assert_int_equal(gc_names_add(&needs->releases, "api", "1.4"), 0);
        assert_int_equal(gc_names_add(&needs->artifacts, "api", A), 0);
        assert_int_equal(needs->releases.n, 1);
}

static const char *judge(const GcNeeds *needs, const char *text, uint64_t modified) {
        const DepotEntry entry = { .key = (char *) text, .modified = modified };
        LayoutKey key;

        layout_parse(text, &key);
        return gc_judge(needs, &key, &entry);
}

static void test_judge(_unused_ void **state) {
        static const struct {
                const char *key;
                bool goes;
        } cases[] = {
                { "apps/api/releases/1.4.json", false },
                { "apps/api/releases/1.3.json", true },
                { "apps/api/artifacts/" A ".zip", false },
                { "apps/api/artifacts/" B ".zip", true },
                { PROD "target.json", false },
                { PROD "freshness.json", false },
                { PROD "rollouts/r-2.json", false },
                { PROD "rollouts/r-2/up-1/i-1.json", false },
                { PROD "rollouts/r-1.json", true },
                { PROD "rollouts/r-1/up-1/i-1.json", true },
                { PROD "instances/i-1.json", true },
                { PROD "failures/" A "/i-1.json", true },
                { PROD "notes.txt", false },
                { DEAD "freshness.json", true },
                { DEAD "rollouts/r-2.json", true },
                { DEAD "instances/i-1.json", true },
                { "apps/web/releases/1.4.json", false }, /* of it no group has a target */
                { "apps/web/artifacts/" A ".zip", false },
                { "apps/web/groups/prod/rollouts/r-2.json", false },
                { "root/1.json", false },
                { "README", false },
        };
        _cleanup_gc_needs_ GcNeeds needs;

        need(&needs);
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                if (!judge(&needs, cases[i].key, OLD) == cases[i].goes)
                        fail_msg("%s %s", cases[i].key, cases[i].goes ? "stays" : "goes");
                assert_null(judge(&needs, cases[i].key, YOUNG));
        }
}

static void test_app_by_name(_unused_ void **state) {
        _cleanup_gc_needs_ GcNeeds needs;

        need(&needs);
        needs.all_apps = true;
        assert_non_null(judge(&needs, "apps/web/releases/1.4.json", OLD)); /* another app's 1.4 */
        assert_non_null(judge(&needs, "apps/web/artifacts/" A ".zip", OLD));
        assert_null(judge(&needs, "apps/web/groups/prod/target.json", OLD));
}

/* Whatever was asked for: a publisher or a signer may be in the middle of it. */
static void test_a_day_at_least(_unused_ void **state) {
        _cleanup_gc_needs_ GcNeeds needs;

        need(&needs);
        needs.age = 0;
        assert_null(judge(&needs, "apps/api/releases/1.3.json", NOW - DAY + 1));
        assert_non_null(judge(&needs, "apps/api/releases/1.3.json", NOW - DAY));
        assert_null(judge(&needs, "apps/api/releases/1.3.json", NOW + DAY));
}

static void test_unsure(_unused_ void **state) {
        _cleanup_gc_needs_ GcNeeds needs;

        need(&needs);
        assert_int_equal(gc_names_add(&needs.unsure, "api", ""), 0);
        assert_null(judge(&needs, "apps/api/artifacts/" B ".zip", OLD));
        assert_non_null(judge(&needs, "apps/api/releases/1.3.json", OLD));
}

static DepotEntry entry(const char *key, uint64_t size, uint64_t modified, const char *etag) {
        return (DepotEntry){ .key = (char *) key, .size = size, .modified = modified, .etag = (char *) etag };
}

static void test_plan(_unused_ void **state) {
        const DepotEntry entries[] = {
                entry("apps/api/artifacts/" A ".zip", 1000, OLD, "1"),
                entry("apps/api/artifacts/" B ".zip", 100, OLD, "1"),
                entry(DEAD "instances/i-1.json", 1, OLD, "1"),
                entry(PROD "instances/i-1.json", 2, OLD, "1"),
                entry(PROD "instances/i-2.json", 3, OLD + 5, "1"),
                entry(PROD "instances/i-3.json", 3, YOUNG, "1"),
                entry(PROD "rollouts/r-1.json", 4, OLD, "1"),
                entry(PROD "rollouts/r-1/good-1/i-1.json", 5, OLD, "1"),
                entry(PROD "rollouts/r-1/up-1/i-1.json", 5, OLD, "1"),
                entry(PROD "target.json", 5, OLD, "1"),
                entry("apps/api/releases/1.3.json", 10, OLD, "1"),
                entry("apps/api/strange", 10, OLD, "1"),
        };
        _cleanup_gc_needs_ GcNeeds needs;
        _cleanup_gc_plan_ GcPlan plan = {};

        need(&needs);
        assert_int_equal(gc_plan_make(&needs, entries, ELEMENTSOF(entries), &plan), 0);
        assert_int_equal(plan.n, 8);
        assert_ptr_equal(plan.victims[0], &entries[10]); /* the release before its artifact */
        assert_ptr_equal(plan.victims[1], &entries[1]);
        assert_int_equal(plan.bytes, 10 + 100 + 1 + 2 + 3 + 4 + 5 + 5);
        assert_int_equal(plan.n_kept, 3);
        assert_int_equal(plan.n_foreign, 1);
        assert_int_equal(plan.n_lines, 6);
        assert_int_equal(plan.lines[2].n, 1); /* of another group */
        assert_int_equal(plan.lines[3].n, 2);
        assert_int_equal(plan.lines[3].bytes, 5);
        assert_int_equal(plan.lines[3].newest, OLD + 5);
        assert_int_equal(plan.lines[5].n, 2);
        assert_string_equal(plan.lines[5].key.name, "r-1");
}

static bool holds(const GcNeeds *needs, const DepotEntry *then, size_t n_then, const DepotEntry *now,
                  size_t n_now) {
        const DepotReply a = { .entries = (DepotEntry *) then, .n_entries = n_then },
                         b = { .entries = (DepotEntry *) now, .n_entries = n_now };

        return gc_plan_holds(needs, &a, &b);
}

static void test_holds(_unused_ void **state) {
        const DepotEntry then[] = {
                entry(PROD "instances/i-1.json", 1, OLD, "1"),
                entry(PROD "target.json", 1, OLD, "1"),
                entry("apps/api/releases/1.3.json", 1, OLD, "1"),
                entry("apps/api/releases/1.4.json", 1, OLD, "1"),
        };
        DepotEntry now[5];
        _cleanup_gc_needs_ GcNeeds needs;

        need(&needs);
        memcpy(now, then, sizeof(then));
        assert_true(holds(&needs, then, 4, now, 4));
        now[0].modified = NOW; /* it reported */
        assert_true(holds(&needs, then, 4, now, 4));
        now[2] = then[3]; /* 1.3 has been removed */
        assert_true(holds(&needs, then, 4, now, 3));
        now[3] = entry("apps/api/releases/1.5.json", 1, NOW, "1");
        assert_false(holds(&needs, then, 4, now, 4));
        now[3] = entry("apps/web/groups/prod/target.json", 1, NOW, "1");
        assert_false(holds(&needs, then, 4, now, 4));
        assert_false(holds(&needs, then, 4, now, 2)); /* 1.4 has gone */
        now[1].etag = (char *) "2";
        assert_false(holds(&needs, then, 4, now, 3));
        assert_false(holds(&needs, then, 4, now, 0));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_judge),          cmocka_unit_test(test_app_by_name),
                cmocka_unit_test(test_a_day_at_least), cmocka_unit_test(test_unsure),
                cmocka_unit_test(test_plan),           cmocka_unit_test(test_holds),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
