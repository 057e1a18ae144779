#include "tests/unit/register_scene.h"
#include "tests/unit/test.h"

TargetStage scene_stages[3] = {
        { .share = { .count = 1 }, .bake = 10 * MINUTE },
        { .share = { .percent = 50 } },
        { .share = { .percent = 100 } },
};

const char *scene_name(unsigned i) {
        static const char *const names[] = { "i-0", "i-1", "i-2", "i-3", "i-4",
                                             "i-5", "i-6", "i-7", "i-8", "i-9" };

        return names[i];
}

void scene_say(Scene *s, unsigned i, MarkKind kind) {
        assert_int_equal(rollout_marks_add(&s->marks, scene_name(i), kind, 1), 0);
        rollout_marks_settle(&s->marks);
}

int scene_setup(void **state) {
        Scene *s = calloc(1, sizeof(*s));

        assert_non_null(s);
        s->target = (Target){
                .serial = 18,
                .stable = { .version = (char *) "1" },
                .candidate = { .version = (char *) "2", .sha256 = DIGEST },
                .rollout = { .id = (char *) "r-1",
                             .not_before = START,
                             .stages = { scene_stages, ELEMENTSOF(scene_stages) },
                             .max_failures = 0 },
                .max_parallel = { .count = 2 },
        };
        s->now = START;
        rollout_plan_make(&s->target, &s->plan);
        assert_int_equal(register_open(&s->plan, 10, s->now, &s->reg, NULL), 0);
        for (unsigned i = 0; i < 10; i++)
                assert_int_equal(rollout_marks_add_live(&s->marks, scene_name(i)), 0);
        rollout_marks_settle(&s->marks);
        *state = s;
        return 0;
}

int scene_teardown(void **state) {
        Scene *s = *state;

        rollout_marks_deinit(&s->marks);
        register_free(s->reg);
        free(s);
        return 0;
}

int scene_step(Scene *s, RegisterEventKind kind, uint64_t stage, const char *reason) {
        RegisterSight sight = { .plan = &s->plan, .marks = &s->marks, .alarms = s->alarms, .now = s->now };
        RegisterEvent event = { .kind = kind, .by = "ana", .reason = reason, .stage = stage };

        s->reg->written = s->now; /* no refresh is due */
        s->error = (Error){};
        return register_step(s->reg, &event, &sight, &s->error);
}

int scene_take_in(Scene *s) {
        return scene_step(s, REGISTER_TAKE_IN, 0, NULL);
}

void scene_bring_up(Scene *s, unsigned i) {
        scene_say(s, i, MARK_UP);
        assert_int_equal(scene_take_in(s), 1);
        assert_non_null(register_find_place(s->reg, scene_name(i)));
        scene_say(s, i, MARK_GOOD);
}

void scene_die(Scene *s, unsigned i) {
        s->marks.items[i].live = false;
}
