#include "agent/queue_route.h"
#include "tests/unit/test.h"

static const QueueApp apps[] = { { "api", "prod" }, { "web", "prod" }, { "api-extra", "canary" } };
static const QueueSelf self = { "i-1", "s3://depot/team/a", apps, ELEMENTSOF(apps) };

static void assert_route(const QueueSelf *who, const QueueNotice *notice, QueueConcern concern, uint64_t bits,
                         bool root) {
        QueueRoute route = queue_route(who, notice);

        assert_int_equal(route.concern, concern);
        assert_int_equal(route.apps, bits);
        assert_int_equal(route.root, root);
}

static void test_changed(_unused_ void **state) {
        static const struct {
                QueueNotice notice;
                QueueConcern concern;
                uint64_t apps;
        } cases[] = {
                { { .kind = QUEUE_NOTICE_CHANGED }, QUEUE_CONCERNS_US, 7 },
                { { .kind = QUEUE_NOTICE_CHANGED, .app = "api" }, QUEUE_CONCERNS_US, 1 },
                { { .kind = QUEUE_NOTICE_CHANGED, .group = "prod" }, QUEUE_CONCERNS_US, 3 },
                { { .kind = QUEUE_NOTICE_CHANGED, .app = "web", .group = "prod" }, QUEUE_CONCERNS_US, 2 },
                { { .kind = QUEUE_NOTICE_CHANGED, .app = "web", .group = "canary" },
                  QUEUE_CONCERNS_OTHERS,
                  0 },
                { { .kind = QUEUE_NOTICE_CHANGED, .instance = "i-1" }, QUEUE_CONCERNS_US, 7 },
                { { .kind = QUEUE_NOTICE_CHANGED, .app = "api", .instance = "i-2" },
                  QUEUE_CONCERNS_OTHERS,
                  0 },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++)
                assert_route(&self, &cases[i].notice, cases[i].concern, cases[i].apps, false);
}

static void test_objects(_unused_ void **state) {
        static const struct {
                const char *bucket, *key;
                QueueConcern concern;
                uint64_t apps;
                bool root;
        } cases[] = {
                { "depot", "team/a/apps/api/groups/prod/target.json", QUEUE_CONCERNS_US, 1, false },
                { "depot", "team/a/apps/web/groups/prod/freshness.json", QUEUE_CONCERNS_US, 2, false },
                { "depot", "team/a/apps/api/groups/other/target.json", QUEUE_CONCERNS_OTHERS, 0, false },
                { "depot", "team/a/apps/none/groups/prod/target.json", QUEUE_CONCERNS_OTHERS, 0, false },
                { "depot", "team/a/root/2.json", QUEUE_CONCERNS_US, 0, true },
                { "depot", "team/a/apps/api/releases/1.0.json", QUEUE_CONCERNS_NOBODY, 0, false },
                { "depot", "team/a/apps/api/groups/prod/instances/i-1.json", QUEUE_CONCERNS_NOBODY, 0,
                  false },
                { "depot", "team/a/apps/api/groups/prod/target.json.old", QUEUE_CONCERNS_NOBODY, 0, false },
                { "depot", "team/a/apps/api/groups/prod/target", QUEUE_CONCERNS_NOBODY, 0, false },
                { "depot", "team/a", QUEUE_CONCERNS_OTHERS, 0, false },
                { "depot", "team/ab/apps/api/groups/prod/target.json", QUEUE_CONCERNS_OTHERS, 0, false },
                { "depot", "apps/api/groups/prod/target.json", QUEUE_CONCERNS_OTHERS, 0, false },
                { "depo", "team/a/apps/api/groups/prod/target.json", QUEUE_CONCERNS_OTHERS, 0, false },
                { "depot2", "team/a/apps/api/groups/prod/target.json", QUEUE_CONCERNS_OTHERS, 0, false },
                { "other", "team/a/apps/api/groups/prod/target.json", QUEUE_CONCERNS_OTHERS, 0, false },
                { "depot", "team/b/apps/api/groups/prod/target.json", QUEUE_CONCERNS_OTHERS, 0, false },
        };
        const QueueSelf bare = { "i-1", "s3://depot", apps, ELEMENTSOF(apps) };
        const QueueSelf files = { "i-1", "file:///srv/depot", apps, ELEMENTSOF(apps) };
        QueueNotice notice = { .kind = QUEUE_NOTICE_OBJECT };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                notice.bucket = cases[i].bucket;
                notice.key = (char *) cases[i].key;
                assert_route(&self, &notice, cases[i].concern, cases[i].apps, cases[i].root);
        }
        notice.bucket = "depot";
        notice.key = (char *) "apps/api/groups/prod/target.json";
        assert_route(&bare, &notice, QUEUE_CONCERNS_US, 1, false);
        assert_route(&files, &notice, QUEUE_CONCERNS_OTHERS, 0, false);
}

static void test_instances(_unused_ void **state) {
        QueueNotice notice = { .kind = QUEUE_NOTICE_LIFECYCLE, .instance = "i-1", .group = "asg" };

        assert_route(&self, &notice, QUEUE_CONCERNS_US, 0, false);
        notice.instance = "i-2";
        assert_route(&self, &notice, QUEUE_CONCERNS_OTHERS, 0, false);
        notice.kind = QUEUE_NOTICE_INTERRUPTION;
        assert_route(&self, &notice, QUEUE_CONCERNS_OTHERS, 0, false);
        notice.kind = QUEUE_NOTICE_NONE;
        assert_route(&self, &notice, QUEUE_CONCERNS_NOBODY, 0, false);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_changed),
                cmocka_unit_test(test_objects),
                cmocka_unit_test(test_instances),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
