#include <string.h>

#include "agent/base/utf8.h"
#include "tests/unit/register_scene.h"
#include "tests/unit/test.h"

static char *names[] = { (char *) "api-5xx", NULL };
static const AlarmsSight quiet = { .state = REGISTER_ALARMS_QUIET };
static const AlarmsSight unknown = { REGISTER_ALARMS_UNKNOWN, "alarm api-5xx is in INSUFFICIENT_DATA" };
static const AlarmsSight rings = { REGISTER_ALARMS_RING, "alarm api-5xx is in ALARM: 5 > 4" };

static int set_up(void **state) {
        Scene *s;

        assert_int_equal(scene_setup(state), 0);
        s = *state;
        s->target.rollout.alarms.items = names;
        s->target.rollout.alarms.n = 1;
        rollout_plan_make(&s->target, &s->plan);
        s->alarms = &quiet;
        return 0;
}

/* As register_store.c does it. */
static int look_and_take_in(Scene *s, const AlarmsSight *alarms) {
        s->alarms = register_wants_alarms(s->reg, &s->plan, s->now) ? alarms : NULL;
        return scene_take_in(s);
}

/* The canary is there and bakes, until ten minutes after START. */
static void bake(Scene *s) {
        scene_bring_up(s, 0);
        assert_int_equal(scene_take_in(s), 1);
        assert_int_equal(s->reg->full, START);
        s->now = START + 10 * MINUTE;
}

static void test_quiet(void **state) {
        Scene *s = *state;

        bake(s);
        assert_int_equal(look_and_take_in(s, &quiet), 1);
        assert_int_equal(s->reg->stage, 1);
        assert_int_equal(s->reg->alarms_seen, s->now);
        assert_null(s->reg->alarms_reason);
}

/* Not even one that was quiet a moment ago ends a stage that has baked since. */
static void test_the_end_is_looked_at(void **state) {
        Scene *s = *state;

        bake(s);
        s->now -= USEC_PER_SEC;
        assert_true(register_wants_alarms(s->reg, &s->plan, s->now)); /* seen ten minutes ago */
        assert_int_equal(look_and_take_in(s, &quiet), 1);
        assert_false(register_wants_alarms(s->reg, &s->plan, s->now));
        s->now += USEC_PER_SEC;
        assert_int_equal(register_due(s->reg, &s->plan), s->now);
        assert_true(register_wants_alarms(s->reg, &s->plan, s->now));
        s->alarms = NULL;
        assert_int_equal(scene_take_in(s), 0);
        assert_int_equal(look_and_take_in(s, &rings), 1);
        assert_int_equal(s->reg->state, REGISTER_ABORTED);
}

static void test_rings(void **state) {
        Scene *s = *state;

        bake(s);
        assert_int_equal(look_and_take_in(s, &rings), 1);
        assert_int_equal(s->reg->state, REGISTER_ABORTED);
        assert_string_equal(s->reg->reason, "alarm api-5xx is in ALARM: 5 > 4");
        assert_false(register_wants_alarms(s->reg, &s->plan, s->now + 10 * MINUTE));
}

/* Also while somebody is still on the way, and while it is paused. */
static void test_rings_early(void **state) {
        Scene *s = *state;

        scene_say(s, 0, MARK_UP);
        assert_int_equal(look_and_take_in(s, &quiet), 1);
        assert_non_null(register_find_place(s->reg, "i-0"));
        assert_int_equal(scene_step(s, REGISTER_PAUSE, 0, "lunch"), 1);
        s->now += MINUTE;
        assert_int_equal(register_due(s->reg, &s->plan), s->now);
        assert_int_equal(look_and_take_in(s, &rings), 1);
        assert_int_equal(s->reg->state, REGISTER_ABORTED);
}

/* An alarm that rings before anybody runs the candidate says nothing of it: it keeps all out until it is quiet. */
static void test_rang_before(void **state) {
        char text[REGISTER_SENTENCE_MAX];
        Scene *s = *state;

        scene_say(s, 0, MARK_UP);
        assert_int_equal(look_and_take_in(s, &rings), 1);
        assert_int_equal(s->reg->state, REGISTER_ACTIVE);
        assert_int_equal(s->reg->places.n, 0);
        register_describe(s->reg, &s->plan, s->now, text);
        assert_string_equal(text, "stage 1 of 3: nobody is let in (alarm api-5xx is in ALARM: 5 > 4)");
        assert_int_equal(scene_step(s, REGISTER_PROMOTE, 0, NULL), 1);
        s->now += MINUTE;
        assert_int_equal(look_and_take_in(s, &rings), 1);
        assert_int_equal(s->reg->places.n, 0);
        s->now += MINUTE;
        assert_int_equal(look_and_take_in(s, &quiet), 1);
        assert_int_equal(s->reg->places.n, 1);
        assert_int_equal(s->reg->state, REGISTER_ACTIVE);
}

/* Who does not know lets the canary in, but no stage end, for as long as it takes. */
static void test_unknown(void **state) {
        char text[REGISTER_SENTENCE_MAX];
        Scene *s = *state;

        scene_say(s, 0, MARK_UP);
        assert_int_equal(look_and_take_in(s, &unknown), 1);
        assert_non_null(register_find_place(s->reg, "i-0"));
        scene_say(s, 0, MARK_GOOD);
        assert_int_equal(look_and_take_in(s, &unknown), 1);
        register_describe(s->reg, &s->plan, s->now, text);
        assert_string_equal(
                text,
                "stage 1 of 3: healthy, bakes until 2026-11-21T10:10:00Z; then held (alarm api-5xx is in "
                "INSUFFICIENT_DATA)");
        for (unsigned i = 0; i < 30; i++) {
                s->now += MINUTE;
                assert_int_equal(register_due(s->reg, &s->plan), s->now);
                assert_int_equal(look_and_take_in(s, &unknown), 1);
        }
        assert_int_equal(s->reg->stage, 0);
        assert_int_equal(s->reg->state, REGISTER_ACTIVE);
        register_describe(s->reg, &s->plan, s->now, text);
        assert_string_equal(text, "stage 1 of 3: healthy, held (alarm api-5xx is in INSUFFICIENT_DATA)");
        s->now += MINUTE;
        assert_int_equal(look_and_take_in(s, &quiet), 1);
        assert_int_equal(s->reg->stage, 1);
}

/* A promotion lets a stage end of whose alarms nobody knows, but not one before it has baked, and none where one rings. */
static void test_promoted(void **state) {
        char text[REGISTER_SENTENCE_MAX];
        Scene *s = *state;

        bake(s);
        s->now -= 5 * MINUTE;
        assert_int_equal(scene_step(s, REGISTER_PROMOTE, 0, NULL), 1);
        assert_int_equal(look_and_take_in(s, &unknown), 1);
        assert_int_equal(s->reg->stage, 0);
        register_describe(s->reg, &s->plan, s->now, text);
        assert_string_equal(text, "stage 1 of 3: healthy, bakes until 2026-11-21T10:10:00Z");
        s->now += 5 * MINUTE;
        assert_int_equal(look_and_take_in(s, &unknown), 1);
        assert_int_equal(s->reg->stage, 1);
        assert_false(s->reg->promoted);
        assert_int_equal(scene_step(s, REGISTER_PROMOTE, 1, NULL), 1);
        s->now += MINUTE;
        assert_int_equal(look_and_take_in(s, &rings), 1);
        assert_int_equal(s->reg->state, REGISTER_ABORTED);
}

/* The last stage too; a complete rollout has no more to do with alarms. */
static void test_complete(void **state) {
        Scene *s = *state;

        s->reg->stage = 2;
        s->now += 60 * MINUTE;
        for (unsigned i = 0; i < 10; i++)
                scene_say(s, i, MARK_GOOD);
        assert_int_equal(look_and_take_in(s, &unknown), 1);
        assert_int_equal(s->reg->state, REGISTER_ACTIVE);
        s->now += MINUTE;
        assert_int_equal(look_and_take_in(s, &quiet), 1);
        assert_int_equal(s->reg->state, REGISTER_COMPLETE);
        assert_false(register_wants_alarms(s->reg, &s->plan, s->now + 10 * MINUTE));
        s->reg->alarms = REGISTER_ALARMS_RING;
        assert_false(register_alarms_keep_out(s->reg, &s->plan));
}

/* One who looks does so for all who write in the next half minute. */
static void test_good_for_all(void **state) {
        Scene *s = *state;

        assert_true(register_wants_alarms(s->reg, &s->plan, s->now));
        assert_int_equal(look_and_take_in(s, &quiet), 1);
        assert_false(register_wants_alarms(s->reg, &s->plan, s->now + REGISTER_ALARMS_GOOD - 1));
        assert_true(register_wants_alarms(s->reg, &s->plan, s->now + REGISTER_ALARMS_GOOD));
        s->reg->touched = true; /* by an operator */
        assert_true(register_wants_alarms(s->reg, &s->plan, s->now));
        s->reg->touched = false;
        s->reg->alarms_seen = s->now + 60 * MINUTE; /* forged */
        assert_true(register_wants_alarms(s->reg, &s->plan, s->now));
        assert_false(register_alarms_let_end(s->reg, &s->plan, s->now));
        s->reg->stage = 7; /* likewise */
        assert_false(register_wants_alarms(s->reg, &s->plan, s->now));
}

/* What has no alarms is as it was, and so is a plain change. */
static void test_no_alarms(void **state) {
        Scene *s = *state;

        s->target.rollout.alarms.n = 0;
        rollout_plan_make(&s->target, &s->plan);
        assert_false(register_wants_alarms(s->reg, &s->plan, s->now));
        assert_true(register_alarms_let_end(s->reg, &s->plan, s->now));
        s->alarms = &rings;
        scene_bring_up(s, 0);
        assert_int_equal(scene_take_in(s), 1);
        assert_int_equal(s->reg->alarms, REGISTER_ALARMS_NOT_SEEN);
        assert_int_equal(scene_step(s, REGISTER_PROMOTE, 0, NULL), -EPERM);
        s->target.rollout.id = NULL;
        s->target.rollout.alarms.n = 1;
        rollout_plan_make(&s->target, &s->plan);
        assert_false(s->plan.alarmed);
}

/* A sentence that had to be cut is UTF-8 all the same. */
static void test_long_reason(void **state) {
        char text[REGISTER_SENTENCE_MAX], reason[1001];
        Scene *s = *state;

        for (unsigned shift = 0; shift < 2; shift++) {
                for (size_t i = 0; i < 1000; i += 2)
                        memcpy(reason + i, "\xc3\xbc", 2);
                reason[1000] = '\0';
                reason[0] = 'a';
                reason[1] = shift ? '\xc3' : 'a';
                if (shift)
                        reason[2] = '\xbc', memmove(reason + 3, reason + 4, 997);
                s->reg->state = REGISTER_ACTIVE;
                assert_int_equal(scene_step(s, REGISTER_PAUSE, 0, reason), 1);
                register_describe(s->reg, &s->plan, s->now, text);
                assert_true(utf8_is_valid(text));
        }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, scene_teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_quiet),        TEST(test_the_end_is_looked_at),
                TEST(test_rings),        TEST(test_rings_early),
                TEST(test_rang_before),  TEST(test_unknown),
                TEST(test_promoted),     TEST(test_complete),
                TEST(test_good_for_all), TEST(test_no_alarms),
                TEST(test_long_reason),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
