#include <string.h>

#include "agent/rollout_marks.h"
#include "tests/unit/test.h"

#define PREFIX "apps/api/groups/prod/rollouts/r-1/"
#define REPORTS "apps/api/groups/prod/instances/"

static void test_folders(void **state) {
        static const char *const wrong[] = {
                "",       "up",      "up-",  "up-0", "up-01",   "up-1x", "up--1",
                "up-100", "upper-1", "UP-1", "good", "goody-1", "up-1 ",
        };
        char folder[MARK_FOLDER_MAX];
        MarkKind kind;
        unsigned attempt;

        (void) state;
        for (MarkKind k = 0; k < MARK_KINDS; k++)
                for (unsigned a = 1; a <= MARK_ATTEMPTS_MAX; a++) {
                        mark_folder(k, a, folder);
                        assert_int_equal(mark_folder_parse(folder, &kind, &attempt), 0);
                        assert_int_equal(kind, k);
                        assert_int_equal(attempt, a);
                }
        for (size_t i = 0; i < ELEMENTSOF(wrong); i++)
                assert_int_equal(mark_folder_parse(wrong[i], &kind, &attempt), -EINVAL);
}

/* What layout_mark() makes is what a list is read by; what else lies there is nobody's mark. */
static void test_list(void **state) {
        char key[LAYOUT_KEY_MAX];
        DepotEntry entries[] = {
                { .key = key },
                { .key = (char *) PREFIX "good-1/AROAEXAMPLE:i-1.json" },
                { .key = (char *) PREFIX "good-1/i-2" },
                { .key = (char *) PREFIX "good-1/.json" },
                { .key = (char *) PREFIX "good-1/a/b.json" },
                { .key = (char *) PREFIX "good/i-3.json" },
                { .key = (char *) PREFIX "a-very-long-folder-indeed/i-3.json" },
                { .key = (char *) PREFIX "i-3.json" },
                { .key = (char *) "apps/api/groups/prod/rollouts/r-2/good-1/i-3.json" },
        };
        _cleanup_rollout_marks_ RolloutMarks marks = {};

        (void) state;
        assert_int_equal(layout_mark("api", "prod", "r-1", "up-1", "AROAEXAMPLE:i-1", key, NULL), 0);
        assert_int_equal(rollout_marks_add_list(&marks, PREFIX, entries, ELEMENTSOF(entries)), 0);
        rollout_marks_settle(&marks);
        assert_int_equal(marks.n, 1);
        assert_string_equal(marks.items[0].instance, "AROAEXAMPLE:i-1");
        assert_true(marks_are_healthy(marks.items));
        assert_false(marks.items[0].live);
}

static void test_reports(void **state) {
        DepotEntry entries[] = {
                { .key = (char *) REPORTS "i-1.json", .modified = 100 },
                { .key = (char *) REPORTS "i-2.json", .modified = 99 },
                { .key = (char *) REPORTS "i-3.txt", .modified = 100 },
        };
        _cleanup_rollout_marks_ RolloutMarks marks = {};

        (void) state;
        assert_null(rollout_marks_find(&marks, "i-1"));
        assert_int_equal(rollout_marks_add_reports(&marks, REPORTS, entries, ELEMENTSOF(entries), 100), 0);
        assert_int_equal(rollout_marks_add(&marks, "i-1", MARK_UP, 1), 0);
        rollout_marks_settle(&marks);
        assert_int_equal(marks.n, 1);
        assert_true(rollout_marks_find(&marks, "i-1")->live);
        assert_true(marks_want_up(rollout_marks_find(&marks, "i-1")));
        assert_null(rollout_marks_find(&marks, "i-2"));
}

#define BIT(kind) (1U << MARK_##kind)

/* What the marks of an attempt mean together. */
static void test_meaning(void **state) {
        static const struct {
                unsigned kinds;
                bool up, down, runs, healthy, ended_up, ended_down, needed;
        } cases[] = {
                { 0, false, false, false, false, false, false, true },
                { BIT(UP), true, false, false, false, false, false, true },
                { BIT(UP) | BIT(GOOD), false, false, true, true, true, false, true },
                { BIT(GOOD), false, false, true, true, true, false, true },
                { BIT(UP) | BIT(VOID), false, false, false, false, true, false, true },
                { BIT(UP) | BIT(OUT), false, false, false, false, true, false, false },
                { BIT(OUT), false, false, false, false, true, false, false },
                { BIT(UP) | BIT(FAILED), false, false, false, false, true, false, false },
                { BIT(UP) | BIT(GOOD) | BIT(SICK), false, false, true, false, true, false, false },
                { BIT(UP) | BIT(GOOD) | BIT(DOWN), false, true, true, false, true, false, true },
                { BIT(UP) | BIT(GOOD) | BIT(SICK) | BIT(DOWN), false, true, true, false, true, false, false },
                { BIT(UP) | BIT(GOOD) | BIT(DOWN) | BIT(BACK), false, false, false, false, true, true, true },
                { BIT(UP) | BIT(DOWN), false, true, true, false, true, false, true },
        };

        (void) state;
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                InstanceMarks m = { .attempt = 2,
                                    .kinds = cases[i].kinds,
                                    .failed = cases[i].kinds & (BIT(FAILED) | BIT(SICK)) };

                assert_int_equal(marks_want_up(&m), cases[i].up);
                assert_int_equal(marks_want_down(&m), cases[i].down);
                assert_int_equal(marks_run(&m), cases[i].runs);
                assert_int_equal(marks_are_healthy(&m), cases[i].healthy);
                assert_int_equal(marks_have_ended(&m, 2, false), cases[i].ended_up);
                assert_int_equal(marks_have_ended(&m, 2, true), cases[i].ended_down);
                assert_int_equal(marks_are_needed(&m), cases[i].needed);
                assert_true(marks_have_ended(&m, 1, false));
                assert_false(marks_have_ended(&m, 3, false));
        }
}

/* The latest attempt counts, in whatever order the marks are listed; a failure stays one. */
static void test_attempts(void **state) {
        for (unsigned order = 0; order < 2; order++) {
                _cleanup_rollout_marks_ RolloutMarks marks = {};

                assert_int_equal(rollout_marks_add(&marks, "i-1", MARK_UP, order ? 1 : 2), 0);
                assert_int_equal(rollout_marks_add(&marks, "i-1", MARK_VOID, 1), 0);
                assert_int_equal(rollout_marks_add(&marks, "i-1", MARK_UP, order ? 2 : 1), 0);
                assert_int_equal(rollout_marks_add(&marks, "i-2", MARK_UP, 3), 0);
                assert_int_equal(rollout_marks_add(&marks, "i-2", MARK_FAILED, 1), 0);
                rollout_marks_settle(&marks);
                assert_int_equal(marks.n, 2);
                assert_int_equal(marks.items[0].attempt, 2);
                assert_true(marks_want_up(marks.items));
                assert_true(marks.items[1].failed);
                assert_false(marks_want_up(marks.items + 1));
        }
        (void) state;
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_folders),  cmocka_unit_test(test_list),
                cmocka_unit_test(test_reports),  cmocka_unit_test(test_meaning),
                cmocka_unit_test(test_attempts),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
