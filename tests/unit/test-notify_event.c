#include <string.h>

#include "agent/base/cleanup.h"
#include "agent/base/strv.h"
#include "agent/notify_event.h"
#include "artifacts/json.h"
#include "tests/unit/register_scene.h"
#include "tests/unit/test.h"

static NotifyFacts facts_of(const Scene *s) {
        NotifyFacts facts = {
                .app = "api", .group = "prod", .plan = &s->plan, .reg = s->reg, .reporter = "AROA:i-1"
        };

        facts.kind = notify_kind_of(s->reg, &facts.at);
        return facts;
}

static void assert_text(const Scene *s, const char *name, const char *expected) {
        const NotifyFacts facts = facts_of(s);
        _cleanup_free_ char *text = NULL;
        char is[NOTIFY_NAME_MAX];

        notify_name(&facts, is);
        assert_string_equal(is, name);
        assert_int_equal(notify_text(&facts, &text), 0);
        assert_string_equal(text, expected);
}

static void test_course(void **state) {
        Scene *s = *state;

        s->target.stable.version = (char *) "1";
        assert_text(s, "started",
                    "api in prod: rollout r-1 from 1 to 2 begins: stage 1 of 3, 1 of 10 instances");
        s->reg->stage = 1;
        s->reg->opened = START + MINUTE;
        assert_text(s, "stage-2", "api in prod: rollout r-1 to 2: stage 2 of 3 begins, 5 of 10 instances");
        assert_int_equal(facts_of(s).at, START + MINUTE);
        s->reg->stage = 2;
        assert_text(s, "stage-3", "api in prod: rollout r-1 to 2: stage 3 of 3 begins, all 10 instances");
        s->reg->state = REGISTER_PAUSED;
        assert_text(s, "stage-3", "api in prod: rollout r-1 to 2: stage 3 of 3 begins, all 10 instances");
        s->reg->state = REGISTER_COMPLETE;
        s->reg->running = 9;
        assert_text(
                s, "complete",
                "api in prod: rollout r-1 to 2 is complete: 9 instances run it; \"muster rollout finish\" makes it permanent");
        s->reg->state = REGISTER_ABORTED;
        assert_text(s, "aborted",
                    "api in prod: rollout r-1 to 2 is ABORTED in stage 3 of 3; all go back to 1");
        assert_int_equal(string_set(&s->reg->reason, "i-4 failed:\nboom"), 0);
        assert_int_equal(string_set(&s->reg->by, "ana"), 0);
        assert_text(
                s, "aborted",
                "api in prod: rollout r-1 to 2 is ABORTED in stage 3 of 3 by ana: i-4 failed: boom; all go back to 1");
}

static void test_pin(void **state) {
        Scene *s = *state;

        s->target.rollout.id = NULL;
        s->target.stable.version = (char *) "1";
        s->target.serial = 18;
        rollout_plan_make(&s->target, &s->plan);
        assert_text(s, "started", "api in prod: goes to 1 (serial 18)");
        s->target.pinned = true;
        s->target.reason = (char *) "2 loses orders";
        assert_text(s, "started", "api in prod: pinned to 1: 2 loses orders");
        s->reg->state = REGISTER_COMPLETE;
        s->reg->running = 10;
        assert_text(s, "complete", "api in prod: 10 instances run 1 now");
}

static void test_only_one(void **state) {
        Scene *s = *state;

        s->reg->fleet = s->reg->live = s->reg->running = 1;
        s->target.stable.version = (char *) "1";
        s->reg->stage = 2;
        assert_text(s, "stage-3", "api in prod: rollout r-1 to 2: stage 3 of 3 begins, the only instance");
        s->reg->state = REGISTER_COMPLETE;
        assert_text(
                s, "complete",
                "api in prod: rollout r-1 to 2 is complete: 1 instance runs it; \"muster rollout finish\" makes it permanent");
}

static void test_held(void **state) {
        const Scene *s = *state;
        const NotifyFacts facts = { .kind = NOTIFY_HELD,
                                    .app = "api",
                                    .group = "prod",
                                    .plan = &s->plan,
                                    .reporter = "i-1",
                                    .reason = "3 others failed",
                                    .at = START };
        _cleanup_free_ char *text = NULL, *payload = NULL;
        char id[NOTIFY_ID_MAX];

        notify_id(&facts, id);
        assert_string_equal(id, "api/prod/r-1/held");
        ((Scene *) s)->target.stable.version = (char *) "1";
        assert_int_equal(notify_text(&facts, &text), 0);
        assert_string_equal(
                text,
                "api in prod: new instances fail with 1 and are HELD until the target changes: 3 others failed");
        assert_int_equal(notify_payload(&facts, &payload), 0);
        assert_non_null(strstr(payload, "\"event\":\"held\""));
}

/* A reason is whatever an instance or an operator says. */
static void test_payload(void **state) {
        Scene *s = *state;
        _cleanup_json_ json_t *payload = NULL;
        _cleanup_free_ char *text = NULL;
        const json_t *inner;
        NotifyFacts facts;

        s->target.stable.version = (char *) "1";
        s->reg->state = REGISTER_ABORTED;
        assert_int_equal(string_set(&s->reg->reason, "<!channel> & <@U1>"), 0);
        facts = facts_of(s);
        assert_int_equal(notify_payload(&facts, &text), 0);
        payload = json_loads(text, 0, NULL);
        assert_non_null(payload);
        assert_non_null(strstr(json_string_value(json_object_get(payload, "text")),
                               ": &lt;!channel&gt; &amp; &lt;@U1&gt;; all go back"));
        inner = json_object_get(payload, "muster");
        assert_string_equal(json_string_value(json_object_get(inner, "id")), "api/prod/r-1/aborted");
        assert_string_equal(json_string_value(json_object_get(inner, "event")), "aborted");
        assert_string_equal(json_string_value(json_object_get(inner, "reason")), "<!channel> & <@U1>");
        assert_string_equal(json_string_value(json_object_get(inner, "version")), "2");
        assert_string_equal(json_string_value(json_object_get(inner, "stable")), "1");
        assert_int_equal(json_integer_value(json_object_get(inner, "stage")), 1);
        assert_int_equal(json_integer_value(json_object_get(inner, "stages")), 3);
        assert_int_equal(json_integer_value(json_object_get(inner, "instances")), 1);
        assert_int_equal(json_integer_value(json_object_get(inner, "fleet")), 10);
        assert_int_equal(json_integer_value(json_object_get(inner, "schema")), NOTIFY_SCHEMA);
}

static void test_subject(_unused_ void **state) {
        char subject[NOTIFY_SUBJECT_MAX], text[201];

        notify_subject("a\nb\tc ä", subject);
        assert_string_equal(subject, "a?b?c ??");
        memset(text, 'x', 200);
        text[200] = '\0';
        notify_subject(text, subject);
        assert_int_equal(strlen(subject), 100);
}

/* A handful of any fleet tell, and never none of a small one. */
static void test_who_tells(void **state) {
        const Scene *s = *state;
        unsigned tell = 0;

        s->reg->rev = 2;
        for (unsigned i = 0; i < 10000; i++) {
                char name[16];

                snprintf(name, sizeof(name), "i-%u", i);
                s->reg->fleet = 10000;
                tell += notify_delay(&s->plan, s->reg, name, 0) != USEC_INFINITY;
                s->reg->fleet = 8;
                s->reg->live = 3;
                assert_int_equal(notify_delay(&s->plan, s->reg, name, 0), NOTIFY_DELAY_MIN);
        }
        assert_true(tell > 1 && tell < 30);
        s->reg->fleet = 0; /* it was empty as the stage was opened */
        assert_true(notify_delay(&s->plan, s->reg, "i-0", UINT64_MAX) < NOTIFY_DELAY_MAX);
}

/* What an operator did nobody has told: one after the other looks whether somebody has. */
static void test_who_tells_of_operators(void **state) {
        const Scene *s = *state;
        uint64_t turns[NOTIFY_TELLERS] = {};

        s->reg->rev = 1; /* as it was made */
        for (unsigned i = 0; i < 1000; i++) {
                char name[16];
                uint64_t delay;

                snprintf(name, sizeof(name), "i-%u", i);
                s->reg->fleet = s->reg->live = NOTIFY_TELLERS;
                delay = notify_delay(&s->plan, s->reg, name, UINT64_MAX);
                assert_true(delay % NOTIFY_TURN == 0 && delay / NOTIFY_TURN < NOTIFY_TELLERS);
                turns[delay / NOTIFY_TURN]++;
                s->reg->fleet = s->reg->live = 1;
                assert_int_equal(notify_delay(&s->plan, s->reg, name, UINT64_MAX), 0);
        }
        for (size_t i = 0; i < ELEMENTSOF(turns); i++)
                assert_true(turns[i] > 50);
        s->reg->rev = 7;
        assert_false(notify_is_by_operator(s->reg));
        assert_int_equal(string_set(&s->reg->writer, "ana"), 0);
        assert_int_equal(string_set(&s->reg->by, "ana"), 0);
        assert_true(notify_is_by_operator(s->reg));
        assert_int_equal(string_set(&s->reg->writer, "i-1"), 0);
        assert_false(notify_is_by_operator(s->reg));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_course, scene_setup, scene_teardown),
                cmocka_unit_test_setup_teardown(test_pin, scene_setup, scene_teardown),
                cmocka_unit_test_setup_teardown(test_only_one, scene_setup, scene_teardown),
                cmocka_unit_test_setup_teardown(test_held, scene_setup, scene_teardown),
                cmocka_unit_test_setup_teardown(test_payload, scene_setup, scene_teardown),
                cmocka_unit_test(test_subject),
                cmocka_unit_test_setup_teardown(test_who_tells, scene_setup, scene_teardown),
                cmocka_unit_test_setup_teardown(test_who_tells_of_operators, scene_setup, scene_teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
