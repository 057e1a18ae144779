#include <string.h>

#include "artifacts/target.h"
#include "tests/unit/documents.h"
#include "tests/unit/test.h"

#define SECOND UINT64_C(1000000)
#define ISSUED (UINT64_C(1795255200) * SECOND) /* 2026-11-21T10:00:00Z */

static Target *golden(void) {
        _cleanup_buffer_ Buffer payload = {};
        Target *target;
        Error error = {};

        documents_read("target.json", &payload);
        if (target_parse(payload.data, payload.size, &target, &error) < 0)
                fail_msg("%s", error.message);
        return target;
}

static void test_golden(void **state) {
        _cleanup_target_ Target *target = golden();
        const TargetStage *stages = target->rollout.stages.items;

        (void) state;
        assert_string_equal(target->app, "api");
        assert_string_equal(target->group, "prod");
        assert_int_equal(target->serial, 18);
        assert_int_equal(target->issued, ISSUED);
        assert_int_equal(target->release_floor, UINT64_C(1767225600) * SECOND);
        assert_string_equal(target->stable.version, "1.4.1");
        assert_string_equal(target->candidate.version, "1.4.2");
        assert_string_equal(target->rollout.id, "r-20261121-1");
        assert_int_equal(target->rollout.not_before, ISSUED + 3600 * SECOND);
        assert_int_equal(target->rollout.stages.n, 3);
        assert_int_equal(stages[0].share.count, 1);
        assert_int_equal(stages[0].bake, 600 * SECOND);
        assert_int_equal(stages[1].share.percent, 25);
        assert_int_equal(stages[2].bake, 0);
        assert_int_equal(target->rollout.max_failures, 1);
        assert_int_equal(target->rollout.promote, TARGET_PROMOTE_AUTO);
        assert_int_equal(target->max_parallel.percent, 25);
        assert_int_equal(target->max_parallel.count, 0);
        assert_false(target->urgent);
        assert_false(target->pinned);
        assert_int_equal(target->env.n, 1);
        assert_int_equal(target->freeze.n, 1);
        assert_string_equal(target->freeze.items[0].reason, "Christmas");
}

static void test_is_canonical(void **state) {
        _cleanup_target_ Target *target = golden();
        _cleanup_buffer_ Buffer payload = {};
        _cleanup_free_ char *text = NULL;
        size_t size;

        (void) state;
        documents_read("target.json", &payload);
        assert_int_equal(target_to_json(target, &text, &size, NULL), 0);
        assert_string_equal(text, buffer_string(&payload));
}

/* What a first target is made of. */
static void test_smallest(void **state) {
        Target target = { .app = (char *) "api", .group = (char *) "prod", .serial = 1, .issued = ISSUED };
        _cleanup_target_ Target *again = NULL;
        _cleanup_free_ char *text = NULL;
        Error error;
        size_t size;

        (void) state;
        assert_int_equal(target_to_json(&target, &text, &size, &error), -EBADMSG);
        assert_string_equal(error.message, "target api prod: stable: missing; expected an object");
        target.stable.version = (char *) "1";
        memset(target.stable.sha256, '0', 64);
        assert_int_equal(target_to_json(&target, &text, &size, NULL), 0);
        assert_int_equal(target_parse(text, size, &again, NULL), 0);
        assert_null(again->candidate.version);
        assert_null(again->rollout.id);
        assert_int_equal(again->release_floor, 0);
        assert_int_equal(again->max_parallel.count + again->max_parallel.percent, 0);
        assert_null(strstr(text, "candidate"));
}

static void test_max_parallel_as_a_number(void **state) {
        _cleanup_target_ Target *target = golden();
        _cleanup_free_ char *text = NULL;
        size_t size;

        (void) state;
        target->max_parallel = (TargetShare){ .count = 7 };
        assert_int_equal(target_to_json(target, &text, &size, NULL), 0);
        assert_non_null(strstr(text, "\"max_parallel\":7,"));
}

static int parse(const void *data, size_t size, Error *error) {
        _cleanup_target_ Target *target = NULL;

        return target_parse(data, size, &target, error);
}

static void test_hostile(void **state) {
        (void) state;
        documents_try_hostile("target", parse);
}

static void test_open(void **state) {
        static const struct {
                const char *app, *group, *message;
        } cases[] = {
                { "api", "prod", "" },
                { "web", "prod", "target web prod: app: expected \"web\", not \"api\"" },
                { "api", "staging", "target api staging: group: expected \"staging\", not \"prod\"" },
        };
        _cleanup_buffer_ Buffer root_envelope = {}, envelope = {};
        _cleanup_trust_root_ TrustRoot *root = NULL;

        (void) state;
        documents_read("root.envelope.json", &root_envelope);
        documents_read("target.envelope.json", &envelope);
        assert_int_equal(trust_root_load("root.json", root_envelope.data, root_envelope.size, &root, NULL),
                         0);
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_target_ Target *target = NULL;
                Error error = {};

                assert_int_equal(target_open(root, envelope.data, envelope.size, DOCUMENTS_NOW, cases[i].app,
                                             cases[i].group, &target, &error),
                                 *cases[i].message ? -EBADMSG : 0);
                assert_string_equal(error.message, cases[i].message);
        }
}

static void test_successor(void **state) {
        static const struct {
                uint64_t serial, floor;
                bool same;
                int result;
                const char *message;
        } cases[] = {
                { 19, 5 * SECOND, false, 0, "" },
                { 19, 6 * SECOND, false, 0, "" },
                { 18, 5 * SECOND, true, 0, "" },
                { 17, 5 * SECOND, true, -ESTALE,
                  "target api prod: serial 17 is below 18, which was accepted before" },
                { 17, 5 * SECOND, false, -ESTALE,
                  "target api prod: serial 17 is below 18, which was accepted before" },
                { 18, 5 * SECOND, false, -EEXIST,
                  "target api prod: serial 18 was accepted before with other content" },
                { 19, 4 * SECOND, false, -ESTALE,
                  "target api prod: release_floor: expected 1970-01-01T00:00:05Z or later, as it was before" },
                { 19, 0, false, -ESTALE,
                  "target api prod: release_floor: expected 1970-01-01T00:00:05Z or later, as it was before" },
        };

        (void) state;
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                Target old = { .serial = 18, .release_floor = 5 * SECOND, .sha256 = "a" };
                Target new = { .app = (char *) "api",
                               .group = (char *) "prod",
                               .serial = cases[i].serial,
                               .release_floor = cases[i].floor };
                Error error = {};

                strcpy(new.sha256, cases[i].same ? "a" : "b");
                assert_int_equal(target_check_successor(&old, &new, &error), cases[i].result);
                assert_string_equal(error.message, cases[i].message);
        }
}

static void test_floor(void **state) {
        Release release = { .app = (char *) "api", .version = (char *) "1", .created = 100 * SECOND };
        Target target = { .group = (char *) "prod" };
        Error error;

        (void) state;
        assert_int_equal(target_check_release(&target, &release, NULL), 0);
        target.release_floor = 100 * SECOND;
        assert_int_equal(target_check_release(&target, &release, NULL), 0);
        target.release_floor = 101 * SECOND;
        assert_int_equal(target_check_release(&target, &release, &error), -ESTALE);
        assert_string_equal(error.message,
                            "release api 1: created at 1970-01-01T00:01:40Z, the target prod has the floor "
                            "1970-01-01T00:01:41Z");
}

static void test_share(void **state) {
        static const struct {
                TargetShare share;
                uint64_t fleet, expected;
        } cases[] = {
                { { 0, 0 }, 10, 10 },       { { 3, 0 }, 10, 3 },
                { { 30, 0 }, 10, 10 },      { { 0, 25 }, 10, 2 },
                { { 0, 25 }, 3, 1 },        { { 0, 1 }, 1, 1 },
                { { 0, 100 }, 7, 7 },       { { 0, 100 }, 0, 0 },
                { { 5, 0 }, 0, 0 },         { { 0, 33 }, 100, 33 },
                { { 0, 99 }, 10000, 9900 }, { { 0, 50 }, UINT64_MAX, UINT64_MAX / 100 * 50 + 7 },
        };

        (void) state;
        for (size_t i = 0; i < ELEMENTSOF(cases); i++)
                assert_int_equal(target_share_of(&cases[i].share, cases[i].fleet), cases[i].expected);
}

static void test_freeze(void **state) {
        _cleanup_target_ Target *target = golden();
        const TargetFreeze *freeze = target->freeze.items;

        (void) state;
        assert_null(target_find_freeze(target, freeze->from - 1));
        assert_ptr_equal(target_find_freeze(target, freeze->from), freeze);
        assert_ptr_equal(target_find_freeze(target, freeze->until - 1), freeze);
        assert_null(target_find_freeze(target, freeze->until));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_golden),    cmocka_unit_test(test_is_canonical),
                cmocka_unit_test(test_smallest),  cmocka_unit_test(test_max_parallel_as_a_number),
                cmocka_unit_test(test_hostile),   cmocka_unit_test(test_open),
                cmocka_unit_test(test_successor), cmocka_unit_test(test_floor),
                cmocka_unit_test(test_share),     cmocka_unit_test(test_freeze),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
