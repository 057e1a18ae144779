#include <string.h>

#include "tests/unit/test.h"

#include "agent/cli/rollout_why.h"
#include "tests/unit/rollout_scene.h"

static void check(const json_t *picture, const char *instance, const char *expected) {
        _cleanup_free_ char *text = NULL;
        Error error = {};

        if (rollout_why(picture, instance, &text, &error) < 0)
                fail_msg("%s", error.message);
        assert_string_equal(text, expected);
}

#define ROLLOUT "; rollout r-1 is active: stage 2 of 3: 1 of 2 healthy, 1 changing"
#define HOLDERS "; those who change now: i-2 (changing, until 2026-01-01T00:10:00Z at most)"

static void test_there(_unused_ void **state) {
        json_auto_t *picture = NULL;
        RolloutScene scene;
        Error error = {};
        char *none = NULL;

        rollout_scene_open(&scene, "active", "");
        picture = rollout_scene_picture(&scene);
        check(picture, "i-1", "i-1 runs 1.5 and is done" ROLLOUT);
        check(picture, "role:i-2",
              "i-2 changes to 1.5 (deployment d-1 of release 1.5 is in step FETCH), until 2026-01-01T00:10:00Z at most");
        check(picture, "i-3", "i-3 asks for a place to change to 1.5 (a place)" ROLLOUT HOLDERS);
        check(picture, "i-4",
              "i-4 failed with 1.5 and does not try it again in this rollout (HEALTH: answers 500)" ROLLOUT);
        check(picture, "i-5", "i-5 waits for its stage to change to 1.5" ROLLOUT HOLDERS);
        check(picture, "i-6", "i-6 does not report any more, and no stage waits for it to change to 1.5");
        assert_int_equal(rollout_why(picture, "i-7", &none, &error), -ENOENT);
        assert_string_equal(error.message, "api in prod: no instance i-7 has reported or taken part");
        rollout_scene_close(&scene);
}

/* Gone, or only slow: since when there is no word from the one that holds the place, and how long that can go on. */
static void test_silent_holder(_unused_ void **state) {
        static const struct {
                uint64_t age; /* seconds */
                const char *why;
        } cases[] = {
                { 590, "i-2 changes to 1.5 (deployment d-1 of release 1.5 is in step FETCH), " },
                { 660,
                  "i-2 changes to 1.5 (no word from it since 2025-12-31T23:49:00Z; if it is gone, its place is free at "
                  "2026-01-01T00:11:00Z), " },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_free_ char *expected = NULL;
                json_t *picture;
                RolloutScene scene;

                rollout_scene_open(&scene, "active", "");
                for (size_t k = 0; k < scene.fleet.n; k++)
                        if (strcmp(scene.fleet.items[k].name, "role:i-2") == 0)
                                scene.fleet.items[k].contact = SCENE_NOW - cases[i].age * USEC_PER_SEC;
                picture = rollout_scene_picture(&scene);
                assert_true(asprintf(&expected, "%suntil 2026-01-01T00:10:00Z at most", cases[i].why) > 0);
                check(picture, "i-2", expected);
                json_decref(picture);
                rollout_scene_close(&scene);
        }
}

/* The first few by name. */
static void test_many_holders(_unused_ void **state) {
        json_auto_t *picture = json_pack("{s:s, s:s, s:s, s:s, s:[]}", "rollout", "r-1", "state", "active",
                                         "sentence", "x", "version", "2", "instances");
        json_t *rows = json_object_get(picture, "instances");

        for (int i = 0; i < 5; i++)
                json_array_append_new(rows, json_pack("{s:o, s:s, s:s}", "instance", json_sprintf("i-%d", i),
                                                      "state", "changing", "until", "T"));
        json_array_append_new(rows, json_pack("{s:s, s:s, s:s, s:b}", "instance", "late", "state", "changing",
                                              "until", "T", "late", 1));
        json_array_append_new(rows, json_pack("{s:s, s:s}", "instance", "i-9", "state", "in-line"));
        check(picture, "i-9",
              "i-9 asks for a place to change to 2; rollout r-1 is active: x; those who change now: i-0 (changing, until T "
              "at most), i-1 (changing, until T at most), i-2 (changing, until T at most) and 2 more");
}

static void check_here(json_t *app, const char *expected) {
        json_auto_t *owned = app;
        _cleanup_free_ char *text = NULL;

        assert_int_equal(rollout_why_here(owned, &text), 0);
        assert_string_equal(text, expected);
}

static void test_here(_unused_ void **state) {
        check_here(json_pack("{s:s, s:s, s:n}", "app", "api", "reason", "release 1.4 serves", "rollout"),
                   "api: release 1.4 serves");
        check_here(json_pack("{s:s, s:s}", "app", "api", "state", "none"), "api: none");
        check_here(
                json_pack("{s:s, s:s, s:{s:s, s:s, s:s, s:s, s:s, s:s, s:s}}", "app", "api", "reason",
                          "release 1.4 serves", "rollout", "id", "r-1", "release", "1.5", "role", "in-line",
                          "state", "active", "waits_for", "waits for a place", "holder", "i-1, i-2", "until",
                          "T"),
                "api: in-line in rollout r-1 to 1.5 (active): waits for a place, held by i-1, i-2, until T at most; "
                "release 1.4 serves");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_there),
                cmocka_unit_test(test_silent_holder),
                cmocka_unit_test(test_many_holders),
                cmocka_unit_test(test_here),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
