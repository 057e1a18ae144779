#include <string.h>

#include "agent/base/strv.h"
#include "tests/unit/register_scene.h"
#include "tests/unit/test.h"

static void test_the_good_way(void **state) {
        Scene *s = *state;

        assert_int_equal(scene_take_in(s), 0);
        for (unsigned i = 0; i < 10; i++)
                scene_say(s, i, MARK_UP);
        assert_int_equal(scene_take_in(s), 1);
        assert_int_equal(s->reg->places.n, 1);
        assert_int_equal(scene_take_in(s), 0);
        for (unsigned i = 0; i < 10; i++)
                if (register_find_place(s->reg, scene_name(i))) {
                        scene_say(s, i, MARK_GOOD);
                        break;
                }
        assert_int_equal(scene_take_in(s), 1);
        assert_int_equal(s->reg->places.n, 0);
        assert_int_equal(s->reg->full, START);
        assert_int_equal(register_due(s->reg, &s->plan), START + REGISTER_REFRESH);
        s->reg->written = START + 9 * MINUTE;
        assert_int_equal(register_due(s->reg, &s->plan), START + 10 * MINUTE);
        s->reg->written = START + 11 * MINUTE;
        assert_int_equal(register_due(s->reg, &s->plan), START + 11 * MINUTE + REGISTER_REFRESH);
        s->now = START + 10 * MINUTE - USEC_PER_SEC;
        assert_int_equal(scene_take_in(s), 0);
        s->now += USEC_PER_SEC;
        assert_int_equal(scene_take_in(s), 1);
        assert_int_equal(s->reg->stage, 1);
        assert_int_equal(s->reg->places.n, 2);
        for (unsigned round = 0; round < 10; round++) {
                for (unsigned i = 0; i < 10; i++)
                        if (register_find_place(s->reg, scene_name(i)))
                                scene_say(s, i, MARK_GOOD);
                (void) scene_take_in(s);
                assert_true(s->reg->places.n <= 2);
                if (s->reg->stage == 1)
                        assert_true(s->reg->running <= 5);
        }
        assert_int_equal(s->reg->state, REGISTER_COMPLETE);
        assert_int_equal(s->reg->members, 10);
}

static void test_not_before(void **state) {
        Scene *s = *state;

        scene_say(s, 0, MARK_UP);
        s->now = START - USEC_PER_SEC;
        assert_int_equal(scene_take_in(s), 0);
        s->now = START;
        assert_int_equal(scene_take_in(s), 1);
}

/* The signed bake holds although the register says that the stage has been full since long ago. */
static void test_forged_bake(void **state) {
        Scene *s = *state;

        scene_bring_up(s, 0);
        assert_int_equal(scene_take_in(s), 1);
        s->reg->full = START - 20 * MINUTE;
        s->now += MINUTE;
        assert_int_equal(scene_take_in(s), 0);
        assert_int_equal(s->reg->stage, 0);
}

static void test_forged_stage(void **state) {
        Scene *s = *state;

        scene_say(s, 0, MARK_UP);
        s->reg->stage = 2;
        assert_int_equal(scene_take_in(s), 0);
        assert_int_equal(register_add_place(s->reg, "i-0", 1, REGISTER_UP, START + MINUTE), 0);
        assert_int_equal(
                register_check_holder(s->reg, &s->plan, "i-0", 1, REGISTER_UP, true, s->now, &s->error),
                -EPERM);
        assert_string_equal(s->error.message, "the register is ahead of what was signed");
        s->reg->stage = 3;
        assert_int_equal(scene_take_in(s), -EINVAL);
        assert_string_equal(s->error.message, "register r-1: stage 4 is open, the target has 3");
}

static void test_foreign_register(void **state) {
        Scene *s = *state;

        memset(s->reg->release_sha256, '0', 64);
        assert_int_equal(scene_take_in(s), -EINVAL);
        assert_string_equal(s->error.message, "register r-1: it is about another release than the target");
        assert_int_equal(string_set(&s->reg->id, "r-2"), 0);
        assert_int_equal(scene_take_in(s), -EINVAL);
        assert_string_equal(s->error.message, "register r-2: expected that of r-1");
        assert_int_equal(scene_step(s, REGISTER_ABORT, 0, NULL), -EINVAL);
}

static void test_a_failure_aborts(void **state) {
        Scene *s = *state;

        scene_say(s, 0, MARK_UP);
        assert_int_equal(scene_take_in(s), 1);
        scene_say(s, 0, MARK_FAILED);
        assert_int_equal(scene_take_in(s), 1);
        assert_int_equal(s->reg->state, REGISTER_ABORTED);
        assert_string_equal(s->reg->reason, "1 instance failed, 0 may");
        assert_int_equal(s->reg->places.n, 0);
        assert_int_equal(scene_take_in(s), 0);
}

/* It counts once, and another one takes its place in the stage. */
static void test_a_failure_that_may_be(void **state) {
        Scene *s = *state;

        s->target.rollout.max_failures = 1;
        rollout_plan_make(&s->target, &s->plan);
        scene_say(s, 0, MARK_UP);
        assert_int_equal(scene_take_in(s), 1);
        scene_say(s, 0, MARK_FAILED);
        scene_say(s, 1, MARK_UP);
        assert_int_equal(scene_take_in(s), 1);
        assert_int_equal(s->reg->state, REGISTER_ACTIVE);
        assert_int_equal(s->reg->failures, 1);
        assert_non_null(register_find_place(s->reg, "i-1"));
        scene_say(s, 1, MARK_GOOD);
        assert_int_equal(scene_take_in(s), 1);
        scene_say(s, 1, MARK_SICK);
        assert_int_equal(scene_take_in(s), 1);
        assert_int_equal(s->reg->state, REGISTER_ABORTED);
}

/* A group of one whose only instance has failed does not wait for ever, whatever max_failures is. */
static void test_nobody_is_left(void **state) {
        Scene *s = *state;

        s->target.rollout.max_failures = 1; /* which is allowed: that is not why it ends */
        rollout_plan_make(&s->target, &s->plan);
        for (unsigned i = 1; i < 10; i++)
                scene_die(s, i);
        scene_say(s, 0, MARK_UP);
        assert_int_equal(scene_take_in(s), 1);
        scene_say(s, 0, MARK_FAILED);
        assert_int_equal(scene_take_in(s), 1);
        assert_string_equal(s->reg->reason, "no instance is left that has not failed");
}

static void test_a_bake_that_fails(void **state) {
        Scene *s = *state;

        scene_bring_up(s, 0);
        assert_int_equal(scene_take_in(s), 1);
        s->now += MINUTE;
        scene_say(s, 0, MARK_SICK);
        assert_int_equal(scene_take_in(s), 1);
        assert_int_equal(s->reg->state, REGISTER_ABORTED);
        assert_int_equal(s->reg->full, START);
}

/* A fault of the host holds the stage, and the instance may ask again. */
static void test_inconclusive(void **state) {
        Scene *s = *state;

        scene_say(s, 0, MARK_UP);
        assert_int_equal(scene_take_in(s), 1);
        scene_say(s, 0, MARK_VOID);
        assert_int_equal(scene_take_in(s), 1);
        assert_int_equal(s->reg->state, REGISTER_ACTIVE);
        assert_int_equal(s->reg->places.n, 0);
        assert_int_equal(scene_take_in(s), 0);
        assert_int_equal(rollout_marks_add(&s->marks, "i-0", MARK_UP, 2), 0);
        rollout_marks_settle(&s->marks);
        assert_int_equal(scene_take_in(s), 1);
        assert_int_equal(register_find_place(s->reg, "i-0")->attempt, 2);
}

static void test_a_place_is_late(void **state) {
        Scene *s = *state;
        uint64_t until;

        s->target.rollout.max_failures = 1;
        rollout_plan_make(&s->target, &s->plan);
        scene_say(s, 0, MARK_UP);
        assert_int_equal(scene_take_in(s), 1);
        until = s->reg->places.items[0].until;
        assert_int_equal(until, START + TARGET_PROGRESS_DEADLINE_DEFAULT);
        s->reg->written = until;
        assert_int_equal(register_due(s->reg, &s->plan), until + REGISTER_MARGIN);
        scene_say(s, 1, MARK_UP);
        s->now = until + REGISTER_MARGIN - USEC_PER_SEC;
        assert_int_equal(scene_take_in(s), 0);
        s->now += USEC_PER_SEC;
        assert_int_equal(scene_take_in(s), 1);
        assert_true(s->reg->places.items[0].late);
        assert_int_equal(s->reg->failures, 1);
        assert_int_equal(s->reg->places.n, 1);
        assert_int_equal(register_due(s->reg, &s->plan), s->now + REGISTER_REFRESH);
        scene_say(s, 0, MARK_VOID);
        assert_int_equal(scene_take_in(s), 1);
        assert_int_equal(s->reg->failures, 0);
        assert_null(register_find_place(s->reg, "i-0"));
        assert_non_null(register_find_place(s->reg, "i-1"));
}

/* An instance that was terminated is no failure; its place, and that of a canary that was scaled in, are free. */
static void test_gone(void **state) {
        Scene *s = *state;

        scene_say(s, 0, MARK_UP);
        assert_int_equal(scene_take_in(s), 1);
        s->now = s->reg->places.items[0].until + REGISTER_MARGIN;
        scene_die(s, 0);
        assert_int_equal(scene_take_in(s), 1);
        assert_int_equal(s->reg->places.n, 0);
        assert_int_equal(s->reg->state, REGISTER_ACTIVE);
        scene_bring_up(s, 1);
        assert_int_equal(scene_take_in(s), 1);
        assert_true(s->reg->full > 0);
        scene_die(s, 1);
        scene_say(s, 2, MARK_UP);
        assert_int_equal(scene_take_in(s), 1);
        assert_int_equal(s->reg->full, 0);
        assert_non_null(register_find_place(s->reg, "i-2"));
}

static void test_abort(void **state) {
        Scene *s = *state;

        scene_bring_up(s, 0);
        assert_int_equal(scene_take_in(s), 1);
        scene_say(s, 1, MARK_UP);
        assert_int_equal(scene_step(s, REGISTER_ABORT, 0, "graphs"), 1);
        assert_string_equal(s->reg->by, "ana");
        assert_int_equal(scene_take_in(s), 0);
        scene_say(s, 0, MARK_DOWN);
        assert_int_equal(scene_take_in(s), 1);
        assert_int_equal(s->reg->places.items[0].move, REGISTER_DOWN);
        assert_int_equal(register_check_holder(s->reg, &s->plan, "i-0", 1, REGISTER_DOWN, true, s->now, NULL),
                         0);
        scene_say(s, 0, MARK_BACK);
        assert_int_equal(scene_take_in(s), 1);
        assert_int_equal(s->reg->places.n, 0);
        assert_int_equal(s->reg->running, 0);
}

/* Others go by what the last writer has counted: that the last one is back, or gone, is written although nothing else was
 * changed by it. */
static void test_numbers_that_tell(void **state) {
        Scene *s = *state;

        scene_say(s, 0, MARK_UP);
        assert_int_equal(scene_take_in(s), 1);
        assert_int_equal(scene_step(s, REGISTER_ABORT, 0, "graphs"), 1);
        assert_int_equal(scene_take_in(s), 1);
        assert_int_equal(s->reg->running, 1); /* on its place */
        assert_true(register_goes_on(s->reg));
        assert_int_equal(scene_take_in(s), 0);
        scene_say(s, 0, MARK_GOOD);
        assert_int_equal(scene_take_in(s), 1);
        assert_int_equal(s->reg->running, 1);
        assert_int_equal(scene_take_in(s), 0);
        scene_die(s, 0);
        assert_int_equal(scene_take_in(s), 1);
        assert_int_equal(s->reg->running, 0);
        assert_false(register_goes_on(s->reg));
        assert_int_equal(scene_take_in(s), 0);
}

/* Those who go back share max_parallel with each other, unless it is urgent, and go before those who go on. */
static void test_way_back(void **state) {
        Scene *s = *state;

        for (unsigned urgent = 0; urgent < 2; urgent++) {
                register_free(s->reg);
                assert_int_equal(register_open(&s->plan, 10, s->now, &s->reg, NULL), 0);
                for (unsigned i = 0; i < 5; i++) {
                        scene_say(s, i, MARK_GOOD);
                        scene_say(s, i, MARK_DOWN);
                }
                s->target.urgent = urgent;
                assert_int_equal(scene_take_in(s), 1);
                assert_int_equal(s->reg->places.n, urgent ? 5 : 2);
        }
        for (unsigned i = 0; i < s->reg->places.n; i++)
                assert_int_equal(s->reg->places.items[i].move, REGISTER_DOWN);
}

static void test_pause(void **state) {
        Scene *s = *state;

        scene_bring_up(s, 0);
        assert_int_equal(scene_step(s, REGISTER_PAUSE, 0, "a look"), 1);
        scene_say(s, 1, MARK_UP);
        s->now += 20 * MINUTE;
        assert_int_equal(scene_take_in(s), 1);
        assert_true(s->reg->full > 0);
        s->now += 20 * MINUTE;
        assert_int_equal(scene_take_in(s), 0);
        assert_int_equal(s->reg->stage, 0);
        assert_int_equal(register_due(s->reg, &s->plan), s->now + REGISTER_REFRESH);
        assert_int_equal(scene_step(s, REGISTER_RESUME, 0, NULL), 1);
        assert_null(s->reg->reason);
        assert_int_equal(scene_take_in(s), 1);
        assert_int_equal(s->reg->stage, 1);
        assert_non_null(register_find_place(s->reg, "i-1"));
}

static void test_promote(void **state) {
        Scene *s = *state;

        assert_int_equal(scene_step(s, REGISTER_PROMOTE, 0, NULL), -EPERM);
        assert_string_equal(s->error.message, "rollout r-1: its stages follow each other by themselves");
        s->target.rollout.promote = TARGET_PROMOTE_MANUAL;
        scene_bring_up(s, 0);
        assert_int_equal(scene_take_in(s), 1);
        s->now += 20 * MINUTE;
        assert_int_equal(scene_take_in(s), 0);
        assert_int_equal(register_due(s->reg, &s->plan), s->now + REGISTER_REFRESH);
        assert_int_equal(scene_step(s, REGISTER_PROMOTE, 1, NULL), -ESTALE);
        assert_string_equal(s->error.message, "rollout r-1: stage 2 is not the one that is open, 1 is");
        assert_int_equal(scene_step(s, REGISTER_PROMOTE, 0, NULL), 1);
        assert_int_equal(scene_step(s, REGISTER_PROMOTE, 0, NULL), -EALREADY);
        assert_int_equal(scene_take_in(s), 1);
        assert_int_equal(s->reg->stage, 1);
        assert_false(s->reg->promoted);
        assert_int_equal(scene_step(s, REGISTER_PROMOTE, 0, NULL), -ESTALE);
}

/* What each state says to each of the operator's events; 1: it is done. */
static void test_refusals(void **state) {
        static const int expected[4][REGISTER_EVENTS] = {
                [REGISTER_ACTIVE] = { 0, 1, -EALREADY, 1, 1 },
                [REGISTER_PAUSED] = { 0, -EALREADY, 1, 1, 1 },
                [REGISTER_ABORTED] = { 0, -EPERM, -EPERM, -EPERM, -EALREADY },
                [REGISTER_COMPLETE] = { 0, -EPERM, -EPERM, -EPERM, 1 },
        };
        Scene *s = *state;

        s->target.rollout.promote = TARGET_PROMOTE_MANUAL;
        for (RegisterState from = REGISTER_ACTIVE; from <= REGISTER_COMPLETE; from++)
                for (RegisterEventKind event = 0; event < REGISTER_EVENTS; event++) {
                        s->reg->state = from;
                        s->reg->promoted = s->reg->touched = false;
                        assert_int_equal(scene_step(s, event, 0, "x"), expected[from][event]);
                        if (expected[from][event] < 0) {
                                assert_int_equal(s->reg->state, from);
                                assert_non_null(strstr(s->error.message, register_state_to_string(from)));
                        }
                        assert_true(*register_event_to_string(event));
                }
}

/* Who resumes or promotes does not list: agents are to take in at once what that lets begin. */
static void test_due_after_the_operator(void **state) {
        static const RegisterEventKind events[] = { REGISTER_RESUME, REGISTER_PROMOTE };
        Scene *s = *state;

        s->target.rollout.promote = TARGET_PROMOTE_MANUAL;
        assert_int_equal(scene_step(s, REGISTER_PAUSE, 0, "lunch"), 1);
        assert_int_equal(register_sign(s->reg, "0123456789abcdef", "ana", s->now), 0);
        assert_true(register_due(s->reg, &s->plan) > s->now);
        for (size_t i = 0; i < ELEMENTSOF(events); i++) {
                assert_int_equal(scene_step(s, events[i], 0, NULL), 1);
                assert_true(register_due(s->reg, &s->plan) <= s->now);
                assert_int_equal(scene_take_in(s), 1);
                assert_true(register_due(s->reg, &s->plan) > s->now);
        }
}

/* A pin is a change of everyone, max_parallel at once, that nothing aborts; a newcomer takes it at once. */
static void test_plain_change(void **state) {
        Scene *s = *state;

        s->target.rollout = (TargetRollout){};
        strcpy(s->target.stable.sha256, DIGEST);
        rollout_plan_make(&s->target, &s->plan);
        assert_int_equal(scene_take_in(s), -EINVAL);
        s->reg = register_free(s->reg);
        assert_true(register_takes_newcomers(NULL, &s->plan, s->now));
        assert_int_equal(register_open(&s->plan, 10, s->now, &s->reg, NULL), 0);
        for (unsigned i = 0; i < 10; i++)
                scene_say(s, i, MARK_UP);
        assert_int_equal(scene_take_in(s), 1);
        assert_int_equal(s->reg->places.n, 2);
        assert_int_equal(scene_step(s, REGISTER_ABORT, 0, NULL), -EPERM);
        scene_say(s, 0, MARK_FAILED);
        assert_int_equal(scene_take_in(s) >= 0, 1);
        assert_int_equal(s->reg->state, REGISTER_ACTIVE);
        for (unsigned i = 1; i < 10; i++)
                scene_say(s, i, MARK_GOOD);
        assert_int_equal(scene_take_in(s), 1);
        assert_int_equal(s->reg->state, REGISTER_COMPLETE);
}

/* Who was chosen by hand goes first, although others have asked before; without them it goes on. */
static void test_canary_by_hand(void **state) {
        char *canaries[] = { (char *) "i-7", NULL };
        Scene *s = *state;

        s->target.rollout.canaries.items = canaries;
        s->target.rollout.canaries.n = 1;
        for (unsigned i = 0; i < 7; i++)
                scene_say(s, i, MARK_UP);
        assert_int_equal(scene_take_in(s), 0);
        scene_say(s, 7, MARK_UP);
        assert_int_equal(scene_take_in(s), 1);
        assert_non_null(register_find_place(s->reg, "i-7"));
        register_remove_place(s->reg, 0);
        scene_die(s, 7);
        assert_int_equal(scene_take_in(s), 1);
        assert_null(register_find_place(s->reg, "i-7"));
}

/* Of five that bake two are replaced: the bake goes on, the stage ends when there are five again. */
static void test_a_bake_in_a_large_fleet(void **state) {
        Scene *s = *state;

        scene_stages[1].bake = 10 * MINUTE;
        s->reg->stage = 1;
        s->now = START + 10 * MINUTE;
        for (unsigned i = 0; i < 5; i++)
                scene_say(s, i, MARK_GOOD);
        assert_int_equal(scene_take_in(s), 1);
        assert_int_equal(s->reg->full, s->now);
        scene_die(s, 0);
        scene_die(s, 1);
        s->now += 10 * MINUTE;
        assert_int_equal(scene_take_in(s), 1); /* there is room for others */
        assert_int_equal(scene_take_in(s), 0);
        assert_int_equal(s->reg->stage, 1);
        scene_say(s, 5, MARK_GOOD);
        scene_say(s, 6, MARK_GOOD);
        assert_int_equal(scene_take_in(s), 1);
        assert_int_equal(s->reg->stage, 2);
        scene_stages[1].bake = 0;
}

/* With three of five gone it begins again. */
static void test_a_bake_that_begins_again(void **state) {
        Scene *s = *state;

        s->reg->stage = 1;
        s->reg->full = START;
        for (unsigned i = 0; i < 5; i++)
                scene_say(s, i, MARK_GOOD);
        for (unsigned i = 0; i < 3; i++)
                scene_die(s, i);
        assert_int_equal(scene_take_in(s), 1);
        assert_int_equal(s->reg->full, 0);
}

/* Stages for which there are enough already follow each other at once. */
static void test_stages_in_a_row(void **state) {
        Scene *s = *state;

        s->now = START + 10 * MINUTE;
        s->reg->full = START;
        for (unsigned i = 0; i < 10; i++)
                scene_say(s, i, MARK_GOOD);
        assert_int_equal(scene_take_in(s), 1);
        assert_int_equal(s->reg->state, REGISTER_COMPLETE);
}

/* Groups of one and of none. */
static void test_small_groups(void **state) {
        Scene *s = *state;

        for (unsigned i = 0; i < 10; i++)
                scene_die(s, i);
        assert_int_equal(scene_take_in(s), 0);
        s->reg->fleet = 0;
        s->now += 60 * MINUTE;
        assert_int_equal(scene_take_in(s), 0);
        assert_int_equal(s->reg->stage, 0);
        s->marks.items[3].live = true;
        scene_bring_up(s, 3);
        assert_int_equal(scene_take_in(s), 1);
        s->now += 10 * MINUTE;
        for (unsigned i = 0; i < 3; i++)
                (void) scene_take_in(s);
        assert_int_equal(s->reg->state, REGISTER_COMPLETE);
}

static void test_sign(void **state) {
        Scene *s = *state;
        _cleanup_free_ char *text = NULL;
        size_t size;

        assert_int_equal(register_to_json(s->reg, &text, &size, NULL), -EBADMSG);
        assert_int_equal(register_sign(s->reg, "0123456789abcdef", "i-1", s->now + 1), 0);
        assert_int_equal(s->reg->rev, 1);
        assert_int_equal(s->reg->written, s->now + USEC_PER_SEC);
        assert_int_equal(register_to_json(s->reg, &text, &size, NULL), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, scene_setup, scene_teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_the_good_way),
                TEST(test_not_before),
                TEST(test_forged_bake),
                TEST(test_forged_stage),
                TEST(test_foreign_register),
                TEST(test_a_failure_aborts),
                TEST(test_a_failure_that_may_be),
                TEST(test_nobody_is_left),
                TEST(test_a_bake_that_fails),
                TEST(test_inconclusive),
                TEST(test_a_place_is_late),
                TEST(test_gone),
                TEST(test_abort),
                TEST(test_numbers_that_tell),
                TEST(test_way_back),
                TEST(test_pause),
                TEST(test_promote),
                TEST(test_refusals),
                TEST(test_due_after_the_operator),
                TEST(test_plain_change),
                TEST(test_canary_by_hand),
                TEST(test_a_bake_in_a_large_fleet),
                TEST(test_a_bake_that_begins_again),
                TEST(test_stages_in_a_row),
                TEST(test_small_groups),
                TEST(test_sign),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
