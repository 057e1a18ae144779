#include <string.h>

#include "agent/base/strv.h"
#include "agent/decision.h"
#include "agent/rollout_view.h"
#include "tests/unit/register_scene.h"
#include "tests/unit/test.h"

#define STABLE "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define OTHER "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define ENV "eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee"

static char v1[] = "1", v2[] = "2", v3[] = "3", broke[] = "it broke", d_1[] = "d-1", boot[] = "boot";

/* An instance of the scene, with the stable release. */
typedef struct Case {
        Scene *scene;
        Record record;
        PartFacts facts;
} Case;

static Case begin(void **state) {
        Scene *s = *state;
        Case c = { .scene = s };

        memcpy(s->target.stable.sha256, STABLE, sizeof(STABLE));
        c.record.good = (ReleaseRef){ v1, STABLE };
        c.record.good_boot_id = boot;
        memcpy(c.record.good_env_sha256, ENV, sizeof(ENV));
        c.facts = (PartFacts){ .plan = &s->plan, .env_sha256 = ENV, .now = s->now, .depot_now = s->now };
        return c;
}

static void run(Case *c, char *version, const char *sha256) {
        c->record.good.version = version;
        snprintf(c->record.good.sha256, sizeof(c->record.good.sha256), "%s", sha256);
}

static bool settle(Case *c) {
        c->facts.record = &c->record;
        return rollout_record_settle(&c->record.rollout, &c->facts);
}

static bool take(Case *c, RoleStep step) {
        c->facts.record = &c->record;
        return rollout_record_take(&c->record.rollout, &c->facts, step);
}

static void say(Case *c, MarkKind kind) {
        assert_string_equal(mark_to_string(c->record.rollout.owes), mark_to_string(kind));
        rollout_record_say(&c->record.rollout, c->scene->now);
        assert_int_equal(c->record.rollout.owes, OWES_NOTHING);
}

static RolloutWish wish(Case *c) {
        RolloutWish ret;

        c->facts.record = &c->record;
        rollout_record_wish(&c->record.rollout, &c->facts, REGISTER_THERE, c->scene->reg, &ret);
        return ret;
}

static const char *role(Case *c) {
        return rollout_record_role(&c->record.rollout, &c->facts);
}

/* Asks, and has its place. */
static void go_up(Case *c) {
        (void) settle(c);
        assert_true(take(c, ROLE_ASK_UP));
        say(c, MARK_UP);
        assert_int_equal(c->record.rollout.standing, STANDING_ASKED);
        assert_true(take(c, ROLE_GO_UP));
        snprintf(c->record.rollout.deployment, sizeof(c->record.rollout.deployment), "%s", d_1);
}

static void end(Case *c, ErrorFault fault, bool cancelled) {
        c->record.deployment = (Deployment){ .id = d_1,
                                             .to = { v2, DIGEST },
                                             .outcome = OUTCOME_ROLLED_BACK,
                                             .reason = broke,
                                             .fault = fault,
                                             .cancelled = cancelled };
}

static void test_up(void **state) {
        Case c = begin(state);

        assert_true(settle(&c));
        assert_string_equal(c.record.rollout.id, "r-1");
        assert_string_equal(role(&c), "waiting");
        assert_string_equal(wish(&c).release->version, "1");
        assert_false(wish(&c).held);
        assert_string_equal(wish(&c).ahead->version, "2");
        assert_false(settle(&c));
        go_up(&c);
        assert_string_equal(role(&c), "changing");
        assert_string_equal(wish(&c).release->version, "2");
        assert_true(wish(&c).candidate);
        c.facts.deploying = true;
        assert_false(settle(&c));
        assert_false(take(&c, ROLE_BACK_OUT)); /* the deployment ends first */
        c.facts.deploying = false;
        run(&c, v2, DIGEST);
        assert_true(rollout_record_is_proving(&c.record.rollout, &c.facts));
        assert_string_equal(role(&c), "proving");
        rollout_record_prove(&c.record.rollout);
        say(&c, MARK_GOOD);
        assert_true(take(&c, ROLE_SETTLE));
        assert_string_equal(role(&c), "member");
        assert_false(settle(&c));
        assert_string_equal(wish(&c).release->version, "2");
        assert_false(wish(&c).held);
        assert_null(wish(&c).ahead);
}

/* By the release's fault it has failed and does not ask again; by the host's, or because it was called back, it may. */
static void test_verdicts(void **state) {
        static const struct {
                ErrorFault fault;
                bool cancelled, sick_before;
                MarkKind mark;
        } cases[] = {
                { FAULT_RELEASE, false, false, MARK_FAILED }, { FAULT_INPUT, false, false, MARK_FAILED },
                { FAULT_HOST, false, false, MARK_VOID },      { FAULT_RELEASE, true, false, MARK_VOID },
                { FAULT_RELEASE, false, true, MARK_VOID },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                Case c = begin(state);

                go_up(&c);
                c.record.rollout.sick_before = cases[i].sick_before;
                end(&c, cases[i].fault, cases[i].cancelled);
                assert_true(settle(&c));
                assert_string_equal(wish(&c).release->version, "1");
                say(&c, cases[i].mark);
                assert_int_equal(c.record.rollout.attempt, 2);
                assert_false(c.record.rollout.sick_before);
                assert_int_equal(take(&c, ROLE_ASK_UP), cases[i].mark == MARK_VOID);
                assert_string_equal(role(&c), cases[i].mark == MARK_VOID ? "waiting" : "failed");
                assert_int_equal(wish(&c).ahead == NULL, cases[i].mark == MARK_FAILED);
        }
}

/* An attempt whose deployment never began, or of which another one is known, is no failure. */
static void test_lost_deployment(void **state) {
        Case c = begin(state);

        go_up(&c);
        c.record.rollout.deployment[0] = '\0';
        assert_false(settle(&c));
        assert_string_equal(wish(&c).release->version, "2");
        go_up(&c);
        end(&c, FAULT_RELEASE, false);
        snprintf(c.record.rollout.deployment, sizeof(c.record.rollout.deployment), "d-0");
        assert_true(settle(&c));
        say(&c, MARK_VOID);
}

/* By a fault of the host, and just now. */
static void could_not_fetch(Case *c) {
        c->record.failures[0] = (Failure){ .release = { v2, DIGEST },
                                           .rollout = c->scene->target.rollout.id,
                                           .step = STEP_FETCH,
                                           .fault = FAULT_HOST,
                                           .count = 1,
                                           .at = c->scene->now,
                                           .reason = broke };
        c->record.n_failures = 1;
}

/* It asked, and could not fetch the release ahead: the place that it is given is not held until the next try. */
static void test_fetch_failed_in_line(void **state) {
        Case c = begin(state);

        (void) settle(&c);
        assert_true(take(&c, ROLE_ASK_UP));
        say(&c, MARK_UP);
        could_not_fetch(&c);
        assert_true(take(&c, ROLE_GO_UP));
        assert_true(settle(&c));
        say(&c, MARK_VOID);
        assert_false(take(&c, ROLE_ASK_UP));
        c.facts.now += DECISION_RETRY_FIRST;
        assert_true(take(&c, ROLE_ASK_UP));
        say(&c, MARK_UP);
        assert_true(take(&c, ROLE_GO_UP));
        assert_false(settle(&c)); /* now it is tried */
}

/* What could not even be fetched by its own fault is told without a place; a fault of the host waits. */
static void test_fetch_failed(void **state) {
        Case c = begin(state);

        could_not_fetch(&c);
        assert_true(settle(&c));
        assert_false(take(&c, ROLE_ASK_UP));
        c.facts.now += DECISION_RETRY_FIRST;
        assert_true(take(&c, ROLE_ASK_UP));
        say(&c, MARK_UP);
        c.record.failures[0].fault = FAULT_RELEASE;
        assert_true(settle(&c));
        say(&c, MARK_FAILED);
        assert_false(settle(&c));
}

static void test_way_back(void **state) {
        Case c = begin(state);

        run(&c, v2, DIGEST);
        assert_true(settle(&c)); /* it runs the new release already */
        say(&c, MARK_GOOD);
        assert_true(take(&c, ROLE_ASK_DOWN));
        assert_true(wish(&c).held);
        assert_string_equal(wish(&c).release->version, "1");
        say(&c, MARK_DOWN);
        assert_true(wish(&c).held);
        assert_true(take(&c, ROLE_GO_DOWN));
        assert_false(wish(&c).held);
        assert_string_equal(role(&c), "going-back");
        run(&c, v1, STABLE);
        assert_true(settle(&c));
        say(&c, MARK_BACK);
        assert_int_equal(c.record.rollout.attempt, 2);
        assert_int_equal(c.record.rollout.standing, STANDING_BEFORE);
}

/* Committed, but not yet good: it goes back on the place that it has. */
static void test_backing_out(void **state) {
        for (int sick = 0; sick < 3; sick++) {
                Case c = begin(state);

                go_up(&c);
                run(&c, v2, DIGEST);
                c.record.rollout.sick_before = sick == 2;
                if (sick)
                        rollout_record_sicken(&c.record.rollout);
                else
                        assert_true(take(&c, ROLE_BACK_OUT));
                assert_string_equal(wish(&c).release->version, "1");
                assert_false(wish(&c).held);
                run(&c, v1, STABLE);
                assert_true(settle(&c));
                say(&c, sick == 1 ? MARK_FAILED : MARK_VOID);
        }
}

static void come_back(Case *c) {
        assert_true(take(c, ROLE_ASK_DOWN));
        say(c, MARK_DOWN);
        assert_true(take(c, ROLE_GO_DOWN));
        run(c, v1, STABLE);
        (void) settle(c);
        say(c, MARK_BACK);
}

static void test_sick_member(void **state) {
        Case c = begin(state);

        run(&c, v2, DIGEST);
        (void) settle(&c);
        say(&c, MARK_GOOD);
        rollout_record_sicken(&c.record.rollout);
        say(&c, MARK_SICK);
        come_back(&c);
        assert_false(take(&c, ROLE_ASK_UP));
}

/* Another release than either comes back first, and then has its turn. */
static void test_stray(void **state) {
        Case c = begin(state);

        run(&c, v3, OTHER);
        assert_true(settle(&c));
        assert_true(wish(&c).held);
        assert_string_equal(wish(&c).release->version, "1");
        come_back(&c);
        assert_true(take(&c, ROLE_ASK_UP));
}

static void test_absent(void **state) {
        Case c = begin(state);

        (void) settle(&c);
        c.facts.absent = true;
        assert_true(settle(&c));
        say(&c, MARK_OUT);
        assert_false(settle(&c));
        assert_string_equal(role(&c), "out");
        c.facts.absent = false;
        assert_true(settle(&c));
        assert_int_equal(c.record.rollout.attempt, 2);
        assert_true(take(&c, ROLE_ASK_UP));
}

/* Who is scaled in makes way at once, also where it was good. */
static void test_leaving(void **state) {
        Case c = begin(state);

        run(&c, v2, DIGEST);
        (void) settle(&c);
        say(&c, MARK_GOOD);
        c.facts.absent = c.facts.leaves = true;
        assert_true(settle(&c));
        say(&c, MARK_OUT);
        assert_true(settle(&c));
        say(&c, MARK_BACK);
        assert_false(settle(&c));
        assert_int_equal(c.record.rollout.standing, STANDING_OUT);
        assert_int_equal(c.record.rollout.attempt, 1);
}

/* Nothing serves here: the stable release at once, unless it is let in; but not before the first look. */
static void test_newcomer(void **state) {
        Case c = begin(state);
        RolloutWish ret;

        c.record.good = (ReleaseRef){};
        (void) settle(&c);
        assert_false(take(&c, ROLE_ASK_UP));
        rollout_record_wish(&c.record.rollout, &c.facts, REGISTER_NOT_READ, NULL, &ret);
        assert_true(ret.held);
        for (RegisterFound found = REGISTER_MISSING; found <= REGISTER_UNREADABLE; found++) {
                rollout_record_wish(&c.record.rollout, &c.facts, found, NULL, &ret);
                assert_false(ret.held || ret.candidate || ret.ahead);
                assert_string_equal(ret.release->version, "1");
        }
        c.scene->reg->state = REGISTER_COMPLETE;
        assert_false(wish(&c).candidate); /* so early that is forged */
        c.facts.depot_now = rollout_plan_entry(&c.scene->plan, c.scene->plan.n_stages - 1);
        for (RegisterState s = REGISTER_ACTIVE; s <= REGISTER_COMPLETE; s++) {
                c.scene->reg->state = s;
                assert_int_equal(wish(&c).candidate, s == REGISTER_COMPLETE);
                assert_false(wish(&c).held);
        }
        c.record.rollout.failed = true;
        assert_false(wish(&c).candidate);
}

/* What serves nothing at this moment, after a restart say, is no newcomer where it was let in: it comes up with what it had. */
static void test_up_again(void **state) {
        static const bool has_new[ROLLOUT_STANDINGS] = {
                [STANDING_CHANGING] = true, [STANDING_COMMITTED] = true, [STANDING_MEMBER] = true
        };
        Case c = begin(state);

        (void) settle(&c);
        for (RolloutStanding at = 0; at < ROLLOUT_STANDINGS; at++)
                for (RegisterState s = REGISTER_ACTIVE; s <= REGISTER_ABORTED; s++) {
                        c.record.rollout.standing = at;
                        c.scene->reg->state = s;
                        c.record.good_is_down = true;
                        run(&c, v2, DIGEST);
                        assert_int_equal(wish(&c).candidate, has_new[at] && s != REGISTER_ABORTED);
                        assert_string_equal(wish(&c).release->version, wish(&c).candidate ? "2" : "1");
                        run(&c, v1, STABLE); /* of the candidate it has nothing */
                        assert_false(wish(&c).candidate);
                }
        run(&c, v2, DIGEST);
        c.record.rollout.standing = STANDING_MEMBER;
        for (RegisterFound found = REGISTER_MISSING; found <= REGISTER_UNREADABLE; found++) {
                RolloutWish ret;

                rollout_record_wish(&c.record.rollout, &c.facts, found, NULL, &ret);
                assert_false(ret.candidate);
        }
}

/* A plain change that is limited: all wait for a place, also for other values alone. */
static void test_plain(void **state) {
        Case c = begin(state);
        Target *target = &c.scene->target;
        TargetRollout rollout = target->rollout;

        target->rollout = (TargetRollout){};
        rollout_plan_make(target, &c.scene->plan);
        assert_true(rollout_plan_is_shared(&c.scene->plan));
        (void) settle(&c);
        say(&c, MARK_GOOD);
        c.facts.env_sha256 = OTHER;
        c.record.rollout = (RolloutRecord){};
        (void) settle(&c);
        assert_true(wish(&c).held);
        assert_string_equal(wish(&c).release->version, "1");
        go_up(&c);
        assert_false(wish(&c).held);
        memcpy(c.record.good_env_sha256, OTHER, sizeof(OTHER));
        assert_true(rollout_record_is_proving(&c.record.rollout, &c.facts));
        target->urgent = true;
        assert_false(rollout_plan_is_shared(&c.scene->plan));
        target->rollout = rollout;
        rollout_plan_make(target, &c.scene->plan);
}

/* While a rollout is limited, other values come with the next change of the release. */
static void test_values_in_a_rollout(void **state) {
        Case c = begin(state);

        c.facts.env_sha256 = OTHER;
        (void) settle(&c);
        assert_true(wish(&c).held);
        c.scene->target.max_parallel = (TargetShare){};
        assert_false(wish(&c).held);
}

static void test_another_rollout(void **state) {
        Case c = begin(state);

        go_up(&c);
        snprintf(c.scene->plan.id, sizeof(c.scene->plan.id), "r-2");
        assert_true(settle(&c));
        assert_string_equal(c.record.rollout.id, "r-2");
        assert_int_equal(c.record.rollout.attempt, 1);
        assert_int_equal(c.record.rollout.standing, STANDING_BEFORE);
}

static void test_round_trip(void **state) {
        Case c = begin(state);

        go_up(&c);
        for (RolloutStanding standing = 0; standing < ROLLOUT_STANDINGS; standing++) {
                RolloutRecord back;
                json_auto_t *json = NULL;

                c.record.rollout.standing = standing;
                c.record.rollout.owes = (MarkKind) standing;
                json = rollout_record_to_json(&c.record.rollout);
                assert_int_equal(rollout_record_from_json(json, &back), 0);
                assert_string_equal(back.id, "r-1");
                assert_int_equal(back.standing, standing);
                assert_int_equal(back.owes, standing);
                assert_string_equal(back.deployment, "d-1");
                assert_int_equal(back.said, c.record.rollout.said);
                assert_int_equal(json_object_set_new(json, "standing", json_string("sitting")), 0);
                assert_int_equal(rollout_record_from_json(json, &back), -EINVAL);
        }
}

static RolloutViewFacts view_of(Case *c) {
        c->facts.record = &c->record;
        return (RolloutViewFacts){ .part = &c->record.rollout,
                                   .part_facts = c->facts,
                                   .instance = "i-0",
                                   .found = REGISTER_THERE,
                                   .reg = c->scene->reg,
                                   .problem = "",
                                   .now = c->scene->now };
}

static void test_views(void **state) {
        Case c = begin(state);
        json_auto_t *status = NULL, *report = NULL;
        RolloutViewFacts view;
        char text[ROLLOUT_REASON_MAX];

        (void) settle(&c);
        (void) take(&c, ROLE_ASK_UP);
        say(&c, MARK_UP);
        for (unsigned i = 0; i < 5; i++)
                assert_int_equal(register_add_place(c.scene->reg, scene_name(i), 1, REGISTER_UP, START), 0);
        view = view_of(&c);
        rollout_view_reason(&view, text);
        assert_string_equal(text, "rollout r-1: waits for a place to change");
        rollout_view_describe(&view, text);
        assert_string_equal(
                text, "rollout r-1: waits for a place to change (stage 1 of 3: 0 of 1 healthy, 5 changing; "
                      "now change: i-1, i-2, i-3 and 1 more)");
        status = rollout_view_status(&view);
        report = rollout_view_report(&view);
        assert_string_equal(json_string_value(json_object_get(status, "role")), "in-line");
        assert_string_equal(json_string_value(json_object_get(status, "state")), "active");
        assert_int_equal(json_integer_value(json_object_get(status, "stage")), 1);
        assert_string_equal(json_string_value(json_object_get(status, "holder")), "i-1, i-2, i-3 and 1 more");
        assert_true(json_is_null(json_object_get(report, "holder")));
        assert_null(json_object_get(report, "stage"));
        assert_string_equal(json_string_value(json_object_get(report, "waits_for")),
                            "waits for a place to change");
        view.reg = NULL;
        view.found = REGISTER_MISSING;
        rollout_view_describe(&view, text);
        assert_non_null(strstr(text, "there is no register"));
}

/* Wherever it is cut, it is a text that a document takes. */
static void test_long_view(void **state) {
        Case c = begin(state);
        char problem[ERROR_MESSAGE_MAX] = "";
        RolloutViewFacts view;

        (void) settle(&c);
        view = view_of(&c);
        view.reg = NULL;
        view.found = REGISTER_UNREADABLE;
        view.problem = problem;
        for (size_t shift = 0; shift < 2; shift++) {
                json_auto_t *status = NULL;

                memset(problem, 'x', shift);
                for (size_t i = shift; i + 2 < sizeof(problem); i += 2)
                        strcpy(problem + i, "\303\274");
                status = rollout_view_status(&view);
                assert_non_null(status);
        }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, scene_setup, scene_teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_up),
                TEST(test_verdicts),
                TEST(test_lost_deployment),
                TEST(test_fetch_failed),
                TEST(test_fetch_failed_in_line),
                TEST(test_way_back),
                TEST(test_backing_out),
                TEST(test_sick_member),
                TEST(test_stray),
                TEST(test_absent),
                TEST(test_leaving),
                TEST(test_newcomer),
                TEST(test_up_again),
                TEST(test_plain),
                TEST(test_values_in_a_rollout),
                TEST(test_another_rollout),
                TEST(test_round_trip),
                TEST(test_views),
                TEST(test_long_view),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
