#include <string.h>

#include "agent/base/strv.h"
#include "agent/rollout_marks.h"
#include "agent/rollout_role.h"
#include "tests/unit/register_scene.h"
#include "tests/unit/test.h"

static Role role_of(const Scene *s, RolloutStanding standing) {
        RoleFacts facts = { .reg = s->reg,
                            .plan = &s->plan,
                            .place = register_find_place(s->reg, "i-0"),
                            .instance = "i-0",
                            .standing = standing,
                            .attempt = 1,
                            .said = s->now,
                            .now = s->now };
        Role role;

        rollout_role(&facts, &role);
        return role;
}

static void give(Scene *s, RegisterMove move, uint64_t until) {
        while (s->reg->places.n > 0)
                register_remove_place(s->reg, 0);
        assert_int_equal(register_add_place(s->reg, "i-0", 1, move, until), 0);
}

/* What each standing makes of each state, without a place, with one up, with one whose time is over, with one down. */
static void test_steps(void **state) {
        enum { NO, UP, OVER, DOWN, KINDS };
        static const RoleStep expected[ROLLOUT_STANDINGS][REGISTER_COMPLETE + 1][KINDS] = {
                [STANDING_BEFORE] = { [REGISTER_ACTIVE] = { ROLE_ASK_UP, ROLE_ASK_UP, ROLE_ASK_UP,
                                                            ROLE_ASK_UP },
                                      [REGISTER_COMPLETE] = { ROLE_ASK_UP, ROLE_ASK_UP, ROLE_ASK_UP,
                                                              ROLE_ASK_UP } },
                [STANDING_ASKED] = { [REGISTER_ACTIVE] = { ROLE_WAIT, ROLE_GO_UP, ROLE_BACK_OUT,
                                                           ROLE_BACK_OUT },
                                     [REGISTER_PAUSED] = { ROLE_WAIT, ROLE_GO_UP, ROLE_BACK_OUT,
                                                           ROLE_BACK_OUT },
                                     [REGISTER_ABORTED] = { ROLE_BACK_OUT, ROLE_BACK_OUT, ROLE_BACK_OUT,
                                                            ROLE_BACK_OUT },
                                     [REGISTER_COMPLETE] = { ROLE_WAIT, ROLE_GO_UP, ROLE_BACK_OUT,
                                                             ROLE_BACK_OUT } },
                [STANDING_CHANGING] = { [REGISTER_ACTIVE] = { ROLE_BACK_OUT, ROLE_WAIT, ROLE_BACK_OUT,
                                                              ROLE_BACK_OUT },
                                        [REGISTER_PAUSED] = { ROLE_BACK_OUT, ROLE_WAIT, ROLE_BACK_OUT,
                                                              ROLE_BACK_OUT },
                                        [REGISTER_ABORTED] = { ROLE_BACK_OUT, ROLE_BACK_OUT, ROLE_BACK_OUT,
                                                               ROLE_BACK_OUT },
                                        [REGISTER_COMPLETE] = { ROLE_BACK_OUT, ROLE_WAIT, ROLE_BACK_OUT,
                                                                ROLE_BACK_OUT } },
                [STANDING_COMMITTED] = { [REGISTER_ACTIVE] = { ROLE_SETTLE },
                                         [REGISTER_PAUSED] = { ROLE_SETTLE },
                                         [REGISTER_ABORTED] = { ROLE_ASK_DOWN, ROLE_ASK_DOWN, ROLE_ASK_DOWN,
                                                                ROLE_ASK_DOWN },
                                         [REGISTER_COMPLETE] = { ROLE_SETTLE } },
                [STANDING_MEMBER] = { [REGISTER_ABORTED] = { ROLE_ASK_DOWN, ROLE_ASK_DOWN, ROLE_ASK_DOWN,
                                                             ROLE_ASK_DOWN } },
                [STANDING_UNWANTED] = { [REGISTER_ACTIVE] = { ROLE_ASK_DOWN, ROLE_ASK_DOWN, ROLE_ASK_DOWN,
                                                              ROLE_ASK_DOWN },
                                        [REGISTER_PAUSED] = { ROLE_ASK_DOWN, ROLE_ASK_DOWN, ROLE_ASK_DOWN,
                                                              ROLE_ASK_DOWN },
                                        [REGISTER_ABORTED] = { ROLE_ASK_DOWN, ROLE_ASK_DOWN, ROLE_ASK_DOWN,
                                                               ROLE_ASK_DOWN },
                                        [REGISTER_COMPLETE] = { ROLE_ASK_DOWN, ROLE_ASK_DOWN, ROLE_ASK_DOWN,
                                                                ROLE_ASK_DOWN } },
                [STANDING_ASKED_DOWN] = { [REGISTER_ACTIVE] = { [DOWN] = ROLE_GO_DOWN },
                                          [REGISTER_PAUSED] = { [DOWN] = ROLE_GO_DOWN },
                                          [REGISTER_ABORTED] = { [DOWN] = ROLE_GO_DOWN },
                                          [REGISTER_COMPLETE] = { [DOWN] = ROLE_GO_DOWN } },
        };
        Scene *s = *state;

        scene_stages[0].share.count = 10;
        for (RolloutStanding standing = 0; standing < ROLLOUT_STANDINGS; standing++)
                for (RegisterState at = 0; at <= REGISTER_COMPLETE; at++)
                        for (unsigned kind = 0; kind < KINDS; kind++) {
                                s->reg->state = at;
                                give(s, kind == DOWN ? REGISTER_DOWN : REGISTER_UP,
                                     s->now + (kind == OVER ? 0 : MINUTE));
                                if (kind == NO)
                                        register_remove_place(s->reg, 0);
                                if (role_of(s, standing).step != expected[standing][at][kind])
                                        fail_msg("standing %d, %s, place %u: %s", standing,
                                                 register_state_to_string(at), kind,
                                                 role_step_to_string(role_of(s, standing).step));
                        }
        scene_stages[0].share.count = 1;
}

/* Not before the signed time, and each in its turn. */
static void test_asks_in_turn(void **state) {
        Scene *s = *state;
        uint64_t first = UINT64_MAX;

        s->now = START - 1;
        assert_int_equal(role_of(s, STANDING_BEFORE).step, ROLE_WAIT);
        assert_true(role_of(s, STANDING_BEFORE).look_by >= START);
        s->reg->fleet = 1000000;
        s->now = START;
        first = role_of(s, STANDING_BEFORE).look_by;
        assert_true(first > START && first <= START + ROLLOUT_PATIENCE_MAX);
        s->now = first;
        assert_int_equal(role_of(s, STANDING_BEFORE).step, ROLE_ASK_UP);
        assert_int_equal(role_of(s, STANDING_BEFORE).look_by, USEC_INFINITY);
}

/* Who would get a place by a write is one of all; who is done, one of those who change; what is due, everybody's. */
static void test_who_writes(void **state) {
        Scene *s = *state;
        Role role;

        s->reg->written = s->now;
        s->reg->live = 10;
        role = role_of(s, STANDING_ASKED);
        assert_true(role.writes);
        assert_int_equal(role.crowd, 10);
        assert_int_equal(role.age, 0);
        assert_int_equal(role.part, ROLLOUT_HAS_SAID);
        s->reg->running = 1;
        role = role_of(s, STANDING_ASKED);
        assert_false(role.writes);
        assert_int_equal(role.part, ROLLOUT_LOOKS_ON);
        assert_true(role_of(s, STANDING_ASKED_DOWN).writes);
        give(s, REGISTER_UP, s->now + 60 * MINUTE);
        role = role_of(s, STANDING_COMMITTED);
        assert_true(role.writes);
        assert_int_equal(role.crowd, 1);
        assert_false(role_of(s, STANDING_CHANGING).writes);
        assert_int_equal(role_of(s, STANDING_CHANGING).part, ROLLOUT_CHANGES);
        s->now += REGISTER_REFRESH + MINUTE;
        role = role_of(s, STANDING_MEMBER);
        assert_true(role.writes);
        assert_int_equal(role.crowd, 10);
        assert_int_equal(role.age, MINUTE);
}

/* Who has said that it failed, is back, or leaves wants that to be heard: others wait for it. */
static void test_news_are_written(void **state) {
        static const RolloutStanding with_news[] = { STANDING_BEFORE, STANDING_MEMBER, STANDING_UNWANTED,
                                                     STANDING_OUT };
        Scene *s = *state;

        s->reg->live = 10;
        for (size_t i = 0; i < ELEMENTSOF(with_news); i++) {
                s->reg->written = s->now - 1;
                assert_true(role_of(s, with_news[i]).writes);
                assert_int_equal(role_of(s, with_news[i]).crowd, 10);
                s->reg->written = s->now + USEC_PER_SEC; /* of a write after that */
                assert_false(role_of(s, with_news[i]).writes);
        }
}

/* Where all may change at once the way back needs no place. */
static void test_unlimited_way_back(void **state) {
        Scene *s = *state;

        assert_int_equal(role_of(s, STANDING_ASKED_DOWN).step, ROLE_WAIT);
        s->target.urgent = true;
        assert_int_equal(role_of(s, STANDING_ASKED_DOWN).step, ROLE_GO_DOWN);
        s->target.urgent = false;
        s->target.max_parallel = (TargetShare){};
        assert_int_equal(role_of(s, STANDING_ASKED_DOWN).step, ROLE_GO_DOWN);
}

/* Of the way back the attempt is its own, too. */
static void test_way_back_of_another_attempt(void **state) {
        Scene *s = *state;

        assert_int_equal(register_add_place(s->reg, "i-0", 2, REGISTER_DOWN, s->now + MINUTE), 0);
        assert_int_equal(role_of(s, STANDING_ASKED_DOWN).step, ROLE_WAIT);
        give(s, REGISTER_DOWN, s->now); /* its deadline holds up no way back */
        assert_int_equal(role_of(s, STANDING_ASKED_DOWN).step, ROLE_GO_DOWN);
}

/* Back from a long sleep it has given its place back, and asks again: the register, which still has the old one, is
 * written first. */
static void test_place_of_an_earlier_attempt(void **state) {
        static const RolloutStanding waiting[] = { STANDING_ASKED, STANDING_ASKED_DOWN };
        Scene *s = *state;

        s->target.max_parallel = (TargetShare){ .count = 1 }; /* which is its own, and so is the stage's */
        s->reg->running = 1;
        s->reg->written = s->now;
        for (size_t i = 0; i < ELEMENTSOF(waiting); i++) {
                RoleFacts facts = { .reg = s->reg,
                                    .plan = &s->plan,
                                    .instance = "i-0",
                                    .standing = waiting[i],
                                    .attempt = 2,
                                    .now = s->now };
                Role role;

                give(s, REGISTER_UP, s->now);
                facts.place = register_find_place(s->reg, "i-0");
                rollout_role(&facts, &role);
                assert_int_equal(role.step, ROLE_WAIT);
                assert_true(role.writes);
                facts.attempt = 1;
                rollout_role(&facts, &role);
                assert_int_equal(role.step, waiting[i] == STANDING_ASKED ? ROLE_BACK_OUT : ROLE_WAIT);
                assert_false(role.writes);
        }
}

/* In an aborted rollout nobody asks any more, so that this would not end it: it is given back, once. */
static void test_place_that_is_lost(void **state) {
        Scene *s = *state;
        RoleFacts facts = {
                .reg = s->reg, .plan = &s->plan, .instance = "i-0", .standing = STANDING_BEFORE, .attempt = 2
        };
        Role role;

        give(s, REGISTER_UP, s->now + MINUTE);
        facts.place = register_find_place(s->reg, "i-0");
        facts.now = s->reg->written = s->now += MINUTE;
        rollout_role(&facts, &role);
        assert_int_equal(role.step, ROLE_ASK_UP);
        s->reg->state = REGISTER_ABORTED;
        rollout_role(&facts, &role);
        assert_int_equal(role.step, ROLE_BACK_OUT);
        facts.said = s->now;
        rollout_role(&facts, &role);
        assert_int_equal(role.step, ROLE_WAIT);
        assert_true(role.writes);
        facts.said = s->now - 2 * USEC_PER_SEC;
        rollout_role(&facts, &role);
        assert_int_equal(role.step, ROLE_BACK_OUT);
        facts.attempt = MARK_ATTEMPTS_MAX + 1;
        rollout_role(&facts, &role);
        assert_int_equal(role.step, ROLE_WAIT);
}

/* Who waits for a write waits since it has said so, or since the last write, in which it had no luck. */
static void test_age(void **state) {
        static const RolloutStanding waiting[] = { STANDING_ASKED, STANDING_ASKED_DOWN, STANDING_COMMITTED };
        Scene *s = *state;

        s->now += 60 * MINUTE;
        for (size_t i = 0; i < ELEMENTSOF(waiting); i++) {
                RoleFacts facts = { .reg = s->reg,
                                    .plan = &s->plan,
                                    .instance = "i-0",
                                    .standing = waiting[i],
                                    .attempt = 1,
                                    .now = s->now };
                Role role;

                if (waiting[i] == STANDING_COMMITTED)
                        give(s, REGISTER_UP, s->now + MINUTE);
                facts.place = register_find_place(s->reg, "i-0");
                facts.said = s->now - 2 * MINUTE;
                s->reg->written = s->now - 5 * MINUTE;
                rollout_role(&facts, &role);
                assert_true(role.writes);
                assert_int_equal(role.age, 2 * MINUTE);
                s->reg->written = s->now - MINUTE;
                rollout_role(&facts, &role);
                assert_int_equal(role.age, MINUTE);
                s->reg->written = s->now + MINUTE; /* the depot's clock is one of many machines */
                rollout_role(&facts, &role);
                assert_int_equal(role.age, 0);
        }
}

/* A late place holds up nobody. */
static void test_room_beside_who_is_late(void **state) {
        Scene *s = *state;

        s->reg->written = s->now;
        s->reg->live = 10;
        for (unsigned i = 1; i < 3; i++)
                assert_int_equal(register_add_place(s->reg, scene_name(i), 1, REGISTER_UP, s->now), 0);
        assert_false(role_of(s, STANDING_ASKED_DOWN).writes);
        s->reg->places.items[0].late = true;
        assert_true(role_of(s, STANDING_ASKED_DOWN).writes);
}

/* Where nothing can come any more of the register, nobody looks at it. */
static void test_rest(void **state) {
        static const struct {
                bool staged;
                RegisterState state;
                RolloutStanding standing;
                bool rests;
        } cases[] = {
                { false, REGISTER_COMPLETE, STANDING_MEMBER, true },
                { false, REGISTER_COMPLETE, STANDING_OUT, true },
                { false, REGISTER_COMPLETE, STANDING_COMMITTED, false },
                { false, REGISTER_COMPLETE, STANDING_BEFORE, false },
                { false, REGISTER_COMPLETE, STANDING_ASKED, false },
                { false, REGISTER_ACTIVE, STANDING_MEMBER, false },
                { true, REGISTER_COMPLETE, STANDING_MEMBER, false }, /* it can be aborted */
                { true, REGISTER_ABORTED, STANDING_BEFORE, true },
                { true, REGISTER_ABORTED, STANDING_OUT, true },
                { true, REGISTER_ABORTED, STANDING_MEMBER, false },
                { true, REGISTER_ABORTED, STANDING_UNWANTED, false },
                { true, REGISTER_ABORTED, STANDING_RETURNING, false },
                { true, REGISTER_PAUSED, STANDING_BEFORE, false },
        };
        Scene *s = *state;
        char *rollout = s->target.rollout.id;

        s->reg->written = s->now + USEC_PER_SEC; /* all is heard */
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                s->target.rollout.id = cases[i].staged ? rollout : NULL;
                rollout_plan_make(&s->target, &s->plan);
                s->reg->state = cases[i].state;
                assert_int_equal(role_of(s, cases[i].standing).rests, cases[i].rests);
                s->reg->running = 1; /* who comes back is awaited */
                assert_int_equal(role_of(s, cases[i].standing).rests, cases[i].rests && !cases[i].staged);
                s->reg->running = 0;
                assert_int_equal(register_add_place(s->reg, "i-7", 1, REGISTER_UP, s->now), 0);
                assert_false(role_of(s, cases[i].standing).rests);
                register_remove_place(s->reg, 0);
        }
        s->target.rollout.id = rollout;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, scene_setup, scene_teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_steps),
                TEST(test_asks_in_turn),
                TEST(test_who_writes),
                TEST(test_news_are_written),
                TEST(test_unlimited_way_back),
                TEST(test_way_back_of_another_attempt),
                TEST(test_place_of_an_earlier_attempt),
                TEST(test_place_that_is_lost),
                TEST(test_age),
                TEST(test_room_beside_who_is_late),
                TEST(test_rest),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
