#include <string.h>

#include "tests/unit/register_scene.h"
#include "tests/unit/test.h"

/* Who changes already goes on in a pause, and stops at an abort. */
static void test_holder(void **state) {
        static const struct {
                RegisterState state;
                uint64_t attempt;
                RegisterMove move;
                int64_t after; /* seconds after the deadline */
                const char *refusal;
        } cases[] = {
                { REGISTER_ACTIVE, 1, REGISTER_UP, -1, NULL },
                { REGISTER_PAUSED, 1, REGISTER_UP, -1, NULL },
                { REGISTER_COMPLETE, 1, REGISTER_UP, -1, NULL },
                { REGISTER_ABORTED, 1, REGISTER_UP, -1, "the rollout was aborted" },
                { REGISTER_ACTIVE, 1, REGISTER_UP, 0, "the time for this change is over" },
                { REGISTER_ACTIVE, 2, REGISTER_UP, -1, "this instance has no place in the rollout" },
                { REGISTER_ACTIVE, 1, REGISTER_DOWN, -1, "this instance has no place in the rollout" },
        };
        Scene *s = *state;

        scene_say(s, 0, MARK_UP);
        assert_int_equal(scene_take_in(s), 1);
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                uint64_t now = (uint64_t) ((int64_t) s->reg->places.items[0].until +
                                           cases[i].after * (int64_t) USEC_PER_SEC);
                Error error = {};

                s->reg->state = cases[i].state;
                assert_int_equal(register_check_holder(s->reg, &s->plan, "i-0", cases[i].attempt,
                                                       cases[i].move, true, now, &error),
                                 cases[i].refusal ? -EPERM : 0);
                assert_string_equal(error.message, cases[i].refusal ?: "");
        }
        assert_int_equal(register_check_holder(s->reg, &s->plan, "i-1", 1, REGISTER_UP, true, s->now, NULL),
                         -EPERM);
}

static void test_freeze(void **state) {
        TargetFreeze freeze = { .from = START + 5 * MINUTE, .until = START + 60 * MINUTE };
        Scene *s = *state;

        s->target.freeze.items = &freeze;
        s->target.freeze.n = 1;
        scene_bring_up(s, 0);
        assert_int_equal(scene_take_in(s), 1);
        s->reg->written = freeze.until - USEC_PER_SEC;
        assert_int_equal(register_due(s->reg, &s->plan), freeze.until);
        scene_say(s, 1, MARK_UP);
        s->now = START + 30 * MINUTE;
        assert_int_equal(scene_take_in(s), 0);
        s->now = freeze.until;
        assert_int_equal(scene_take_in(s), 1);
        assert_int_equal(s->reg->stage, 1);
        assert_int_equal(register_check_holder(s->reg, &s->plan, "i-1", 1, REGISTER_UP, true, s->now, NULL),
                         0);
        freeze.until += 60 * MINUTE;
        assert_int_equal(
                register_check_holder(s->reg, &s->plan, "i-1", 1, REGISTER_UP, true, s->now, &s->error),
                -EPERM);
        assert_string_equal(s->error.message, "the group is frozen");
        assert_int_equal(register_check_holder(s->reg, &s->plan, "i-1", 1, REGISTER_UP, false, s->now, NULL),
                         0);
        scene_say(s, 0, MARK_DOWN);
        assert_int_equal(scene_take_in(s), 1);
        assert_int_equal(register_find_place(s->reg, "i-0")->move, REGISTER_DOWN);
}

static void test_newcomers(void **state) {
        Scene *s = *state;

        uint64_t entry = rollout_plan_entry(&s->plan, s->plan.n_stages - 1);

        assert_false(register_takes_newcomers(NULL, &s->plan, entry));
        for (RegisterState at = REGISTER_ACTIVE; at <= REGISTER_COMPLETE; at++) {
                s->reg->state = at;
                assert_int_equal(register_takes_newcomers(s->reg, &s->plan, entry), at == REGISTER_COMPLETE);
                /* Nobody unsigned can say that it was complete before the bakes were over. */
                assert_false(register_takes_newcomers(s->reg, &s->plan, entry - 1));
        }
        s->reg->release_sha256[0] ^= 1;
        assert_false(register_takes_newcomers(s->reg, &s->plan, entry));
}

/* Who was scaled in tells nobody: the register is written now and then, for the numbers. */
static void test_refresh(void **state) {
        RegisterEvent event = { .kind = REGISTER_TAKE_IN };
        Scene *s = *state;
        RegisterSight sight = { .plan = &s->plan, .marks = &s->marks, .now = s->now };

        for (RegisterState at = REGISTER_ACTIVE; at <= REGISTER_COMPLETE; at++) {
                bool kept_up = at == REGISTER_ACTIVE || at == REGISTER_PAUSED;

                s->reg->state = at;
                s->reg->written = s->now - REGISTER_REFRESH + 1;
                assert_int_equal(register_step(s->reg, &event, &sight, NULL), 0);
                s->reg->written--;
                assert_int_equal(register_step(s->reg, &event, &sight, NULL), kept_up);
                assert_int_equal(register_due(s->reg, &s->plan), kept_up ? s->now : USEC_INFINITY);
                assert_int_equal(s->reg->live, 10);
        }
        s->reg->state = REGISTER_ABORTED;
        s->reg->running = 1;
        assert_int_equal(register_due(s->reg, &s->plan), s->now);
}

static void test_sentences(void **state) {
        char text[REGISTER_SENTENCE_MAX];
        TargetFreeze freeze = { .from = START + 90 * MINUTE,
                                .until = START + 91 * MINUTE,
                                .reason = (char *) "a sale" };
        Scene *s = *state;

        register_describe(s->reg, &s->plan, START - 1, text);
        assert_string_equal(text, "stage 1 of 3: begins at 2026-11-21T10:00:00Z");
        scene_bring_up(s, 0);
        s->reg->live = 10;
        register_describe(s->reg, &s->plan, s->now, text);
        assert_string_equal(text, "stage 1 of 3: 0 of 1 healthy, 1 changing");
        assert_int_equal(scene_take_in(s), 1);
        register_describe(s->reg, &s->plan, s->now, text);
        assert_string_equal(text, "stage 1 of 3: healthy, bakes until 2026-11-21T10:10:00Z");
        s->target.freeze.items = &freeze;
        s->target.freeze.n = 1;
        register_describe(s->reg, &s->plan, freeze.from, text);
        assert_string_equal(text, "stage 1 of 3: frozen until 2026-11-21T11:31:00Z: a sale");
        s->target.rollout.promote = TARGET_PROMOTE_MANUAL;
        register_describe(s->reg, &s->plan, s->now, text);
        assert_string_equal(text, "stage 1 of 3: healthy, waits to be promoted");
        assert_int_equal(scene_step(s, REGISTER_PAUSE, 0, "lunch"), 1);
        register_describe(s->reg, &s->plan, s->now, text);
        assert_string_equal(text, "paused in stage 1 of 3: lunch, by ana");
        s->reg->state = REGISTER_COMPLETE;
        register_describe(s->reg, &s->plan, s->now, text);
        assert_string_equal(text, "complete; the candidate is not signed as stable yet");
        s->reg->id[0] = 'x';
        register_describe(s->reg, &s->plan, s->now, text);
        assert_string_equal(text, "the register is not the target's");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, scene_setup, scene_teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_holder),  TEST(test_freeze),    TEST(test_newcomers),
                TEST(test_refresh), TEST(test_sentences),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
