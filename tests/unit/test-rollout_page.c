#include <string.h>

#include "tests/unit/test.h"

#include "agent/cli/rollout_page.h"
#include "tests/unit/rollout_scene.h"

static const Style plain = { "", "", "", "", "" };
static const Style colour = { "<b>", "<good>", "<bad>", "<faint>", "</>" };

static char *print(const json_t *picture, const Style *style) {
        char *text = NULL;
        size_t size;
        FILE *stream = open_memstream(&text, &size);

        assert_int_equal(rollout_page_print(picture, SCENE_NOW, stream, style), 0);
        fclose(stream);
        return text;
}

static char *news(const json_t *old, const json_t *picture) {
        char *text = NULL;
        size_t size;
        FILE *stream = open_memstream(&text, &size);

        rollout_page_news(old, picture, SCENE_NOW, stream);
        fclose(stream);
        return text;
}

static json_t *picture_of(const char *state, const char *members) {
        RolloutScene scene;
        json_t *picture;

        rollout_scene_open(&scene, state, members);
        picture = rollout_scene_picture(&scene);
        rollout_scene_close(&scene);
        return picture;
}

static void test_active(_unused_ void **state) {
        json_auto_t *picture = picture_of("active", "");
        _cleanup_free_ char *text = print(picture, &plain);

        assert_string_equal(
                text, "api in prod, serial 18: rollout r-1 from 1.4 to 1.5\n"
                      "state      active, stage 2 of 3: 1 of 2 healthy, 1 changing\n"
                      "rules      50% at once, 1 of them may fail, promote auto\n"
                      "stage 1    1        [====================]  done\n"
                      "stage 2    50%      [==========>         ]  open, 1 of 2 healthy\n"
                      "stage 3    100%     [                    ]  to come\n"
                      "\n"
                      "i-4: 1.5 failed at HEALTH, 3m ago: answers 500\n"
                      "\n"
                      "INSTANCE  VERSION  STATE     SINCE    WHY\n"
                      "i-2       1.4      changing  30s ago  deployment d-1 of release 1.5 is in step FETCH\n"
                      "i-4       1.4      failed    2m ago   HEALTH: answers 500\n"
                      "i-3       1.4      in-line   31d ago  a place\n"
                      "i-1       1.5      member    50m ago\n"
                      "i-5       1.4      waiting   31d ago\n"
                      "i-6       1.5      gone      31d ago\n");
}

static void check_has(const json_t *picture, const Style *style, const char *expected) {
        _cleanup_free_ char *text = print(picture, style);

        if (!strstr(text, expected))
                fail_msg("%s", text);
}

/* Nobody who looks may miss it. */
static void test_unfinished(_unused_ void **state) {
        json_auto_t *picture = picture_of("complete", "");

        check_has(picture, &plain,
                  "state      complete; the candidate is not signed as stable yet\n"
                  "next       muster rollout finish api prod: until then 1.4 is the stable release\n");
        check_has(picture, &colour, "state      <good>complete</>; ");
        check_has(picture, &colour, "next       <b>muster rollout finish api prod</>: ");
        check_has(picture, &colour, "stage 3    100%     [<good>====================</>]  done\n");
}

static void test_aborted(_unused_ void **state) {
        json_auto_t *picture = picture_of("aborted", ",\"reason\":\"2 instances failed, 1 may\"");

        check_has(picture, &colour,
                  "state      <bad>aborted</> in stage 2 of 3: 2 instances failed, 1 may\n");
        check_has(picture, &colour, "i-4: <bad>1.5 failed</> at HEALTH, 3m ago: answers 500\n");
}

/* What the instance left in the depot says more than its report. */
static void test_output(_unused_ void **state) {
        RolloutScene scene;
        json_auto_t *picture = NULL;

        rollout_scene_open(&scene, "aborted", "");
        json_object_set_new(scene.failures, "role:i-4",
                            json_pack("{s:s, s:s, s:s, s:{s:[{s:s, s:s}, {s:s, s:s}]}}", "step",
                                      "AfterInstall", "reason", "hook ended with 1", "at",
                                      "2025-12-31T23:59:00Z", "deployment", "steps", "step", "FETCH",
                                      "output_tail", "fetched\n", "step", "HOOKS", "output_tail",
                                      "1\n2\n3\n4\n5\n6\n7\n8\n9\nno table\n\xc3\xa4rger\n"));
        picture = rollout_scene_picture(&scene);
        check_has(
                picture, &plain,
                "i-4: 1.5 failed at AfterInstall, 1m ago: hook ended with 1\n    | 2\n    | 3\n    | 4\n    | 5\n"
                "    | 6\n    | 7\n    | 8\n    | 9\n    | no table\n    | \xc3\xa4rger\n\nINSTANCE");
        rollout_scene_close(&scene);
}

static void test_lost(_unused_ void **state) {
        RolloutScene scene;
        json_auto_t *missing = NULL, *unreadable = NULL;

        rollout_scene_open(&scene, "active", "");
        rollout_scene_lose(&scene, NULL);
        missing = rollout_scene_picture(&scene);
        rollout_scene_lose(&scene, "is rubbish");
        unreadable = rollout_scene_picture(&scene);
        check_has(missing, &colour, "state      <bad>missing</>, its register is missing: nothing moves\n");
        check_has(unreadable, &colour,
                  "state      <bad>unreadable</>, its register cannot be used (is rubbish): nothing moves\n");
        rollout_scene_close(&scene);
}

static void test_no_rollout(_unused_ void **state) {
        static const char text[] =
                "{\"app\":\"api\",\"group\":\"prod\",\"serial\":3,\"issued\":\"2026-01-01T00:00:00Z\",\"pinned\":true,"
                "\"stable\":{\"version\":\"1.4\",\"release_sha256\":"
                "\"1111111111111111111111111111111111111111111111111111111111111111\"}}";
        json_auto_t *picture = NULL;
        RolloutScene scene;
        Target *target;

        rollout_scene_open(&scene, "active", "");
        assert_int_equal(target_parse(text, strlen(text), &target, NULL), 0);
        rollout_plan_make(target, &scene.plan);
        picture = rollout_scene_picture(&scene);
        check_has(picture, &plain, "api in prod, serial 3: no rollout: 1.4 is stable and pinned\n");
        assert_null(json_object_get(picture, "instances"));
        target_free(target);
        rollout_scene_close(&scene);
}

/* A line for each change, none for what stays. */
static void test_news(_unused_ void **state) {
        json_auto_t *active = picture_of("active", ""), *paused = picture_of("paused", ",\"by\":\"ann\"");
        _cleanup_free_ char *first = news(NULL, active), *none = news(active, active),
                            *second = news(active, paused), *third = NULL;

        assert_string_equal(
                first,
                "2026-01-01T00:00:00Z i-2: changing, runs 1.4; deployment d-1 of release 1.5 is in step FETCH\n"
                "2026-01-01T00:00:00Z i-4: failed, runs 1.4; HEALTH: answers 500\n"
                "2026-01-01T00:00:00Z i-3: in-line, runs 1.4; a place\n"
                "2026-01-01T00:00:00Z i-1: member, runs 1.5\n"
                "2026-01-01T00:00:00Z r-1: active, stage 2 of 3: 1 of 2 healthy, 1 changing\n");
        assert_string_equal(none, "");
        assert_string_equal(second, "2026-01-01T00:00:00Z r-1: paused in stage 2 of 3: by hand, by ann\n");
        json_object_set_new(json_array_get(json_object_get(paused, "instances"), 0), "state",
                            json_string("member"));
        third = news(active, paused);
        assert_non_null(strstr(third, "i-2: member, runs 1.4"));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_active),  cmocka_unit_test(test_unfinished),
                cmocka_unit_test(test_aborted), cmocka_unit_test(test_output),
                cmocka_unit_test(test_lost),    cmocka_unit_test(test_no_rollout),
                cmocka_unit_test(test_news),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
