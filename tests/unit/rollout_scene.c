#include <string.h>

#include "tests/unit/test.h"

#include "agent/cli/rollout_picture.h"
#include "tests/unit/rollout_scene.h"

#define STABLE "1111111111111111111111111111111111111111111111111111111111111111"
#define CANDIDATE "2222222222222222222222222222222222222222222222222222222222222222"

static const char target[] =
        "{\"app\":\"api\",\"group\":\"prod\",\"serial\":18,\"issued\":\"2025-12-31T23:00:00Z\","
        "\"stable\":{\"version\":\"1.4\",\"release_sha256\":\"" STABLE "\"},"
        "\"candidate\":{\"version\":\"1.5\",\"release_sha256\":\"" CANDIDATE "\"},\"max_parallel\":\"50%\","
        "\"rollout\":{\"id\":\"r-1\",\"not_before\":\"2025-12-31T23:00:00Z\",\"max_failures\":1,\"stages\":["
        "{\"count\":1,\"bake\":\"10m\"},{\"percent\":50},{\"percent\":100}]}}";

static Register *make_register(const char *state, const char *members) {
        _cleanup_free_ char *text = NULL;
        Register *reg;
        Error error = {};

        if (asprintf(
                    &text,
                    "{\"id\":\"r-1\",\"rev\":7,\"nonce\":\"0123456789abcdef\",\"writer\":\"i-1\","
                    "\"written\":\"2025-12-31T23:59:50Z\",\"release_sha256\":\"" CANDIDATE
                    "\",\"state\":\"%s\",\"stage\":1,\"opened\":\"2025-12-31T23:50:00Z\",\"fleet\":5,\"live\":5,"
                    "\"members\":1,\"running\":2,\"failures\":1,\"places\":[{\"instance\":\"role:i-2\",\"attempt\":1,"
                    "\"move\":\"up\",\"until\":\"2026-01-01T00:10:00Z\"}]%s}",
                    state, members) < 0)
                fail_msg("no memory");
        if (register_parse(text, strlen(text), &reg, &error) < 0)
                fail_msg("%s", error.message);
        return reg;
}

static const struct {
        const char *name;
        const char *report;
        uint64_t age; /* seconds */
} reports[] = {
        { "role:i-1",
          "{\"instance\":\"i-1\",\"version\":\"1.5\",\"state\":\"good\",\"since\":\"2025-12-31T23:10:00Z\","
          "\"reason\":\"serves\",\"rollout\":{\"id\":\"r-1\",\"role\":\"member\"}}",
          10 },
        { "role:i-2",
          "{\"instance\":\"i-2\",\"version\":\"1.4\",\"state\":\"deploying\",\"since\":\"2025-12-01T00:00:00Z\","
          "\"reason\":\"deployment d-1 of release 1.5 is in step FETCH\","
          "\"rollout\":{\"id\":\"r-1\",\"role\":\"changing\",\"since\":\"2025-12-31T23:59:30Z\"}}",
          10 },
        { "role:i-3",
          "{\"instance\":\"i-3\",\"version\":\"1.4\",\"state\":\"good\",\"since\":\"2025-12-01T00:00:00Z\","
          "\"reason\":\"serves\",\"rollout\":{\"id\":\"r-1\",\"role\":\"in-line\",\"waits_for\":\"a place\"}}",
          10 },
        { "role:i-4",
          "{\"instance\":\"i-4\",\"version\":\"1.4\",\"state\":\"held\",\"since\":\"2025-12-31T23:58:00Z\","
          "\"reason\":\"1.5 failed\",\"last_failure\":{\"version\":\"1.5\",\"step\":\"HEALTH\",\"reason\":\"answers 500\","
          "\"at\":\"2025-12-31T23:57:00Z\"}}",
          10 },
        { "role:i-5",
          "{\"instance\":\"i-5\",\"version\":\"1.4\",\"state\":\"good\",\"since\":\"2025-12-01T00:00:00Z\"}",
          10 },
        { "role:i-6",
          "{\"instance\":\"i-6\",\"version\":\"1.5\",\"state\":\"good\",\"since\":\"2025-12-01T00:00:00Z\"}",
          7200 },
};

static void make_fleet(Fleet *fleet) {
        fleet->items = calloc(ELEMENTSOF(reports), sizeof(*fleet->items));
        fleet->now = SCENE_NOW;
        assert_non_null(fleet->items);
        for (; fleet->n < ELEMENTSOF(reports); fleet->n++)
                assert_int_equal(fleet_instance_read(reports[fleet->n].name,
                                                     SCENE_NOW - reports[fleet->n].age * USEC_PER_SEC,
                                                     reports[fleet->n].report,
                                                     strlen(reports[fleet->n].report),
                                                     &fleet->items[fleet->n]),
                                 0);
        fleet_judge(fleet);
}

static void make_marks(RolloutMarks *marks) {
        static const struct {
                const char *instance;
                MarkKind kind;
        } made[] = {
                { "role:i-1", MARK_UP }, { "role:i-1", MARK_GOOD }, { "role:i-2", MARK_UP },
                { "role:i-3", MARK_UP }, { "role:i-4", MARK_UP },   { "role:i-4", MARK_FAILED },
                { "role:i-6", MARK_UP }, { "role:i-6", MARK_GOOD },
        };

        for (size_t i = 0; i < ELEMENTSOF(made); i++)
                assert_int_equal(rollout_marks_add(marks, made[i].instance, made[i].kind, 1), 0);
        for (size_t i = 0; i + 1 < ELEMENTSOF(reports); i++)
                assert_int_equal(rollout_marks_add_live(marks, reports[i].name), 0);
        rollout_marks_settle(marks);
}

void rollout_scene_open(RolloutScene *scene, const char *state, const char *members) {
        Error error = {};

        *scene = (RolloutScene){ .reg = make_register(state, members), .failures = json_object() };
        if (target_parse(target, strlen(target), &scene->target, &error) < 0)
                fail_msg("%s", error.message);
        rollout_plan_make(scene->target, &scene->plan);
        make_fleet(&scene->fleet);
        make_marks(&scene->marks);
        scene->facts = (RolloutFacts){ .plan = &scene->plan,
                                       .reg = scene->reg,
                                       .marks = &scene->marks,
                                       .fleet = &scene->fleet,
                                       .failures = scene->failures,
                                       .now = SCENE_NOW };
}

void rollout_scene_close(RolloutScene *scene) {
        json_decref(scene->failures);
        fleet_deinit(&scene->fleet);
        rollout_marks_deinit(&scene->marks);
        register_free(scene->reg);
        target_free(scene->target);
}

void rollout_scene_lose(RolloutScene *scene, const char *problem) {
        scene->facts.reg = NULL;
        scene->facts.problem = problem;
}

json_t *rollout_scene_picture(const RolloutScene *scene) {
        json_t *picture = rollout_picture_make(&scene->facts);

        assert_non_null(picture);
        return picture;
}
