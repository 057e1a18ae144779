#include <string.h>

#include "agent/base/cleanup.h"
#include "agent/net/sqs_message.h"
#include "agent/queue_plan.h"
#include "tests/unit/test.h"

#define TOPIC "arn:aws:sns:eu-west-1:123456789012:api"
#define ARN "arn:aws:sqs:eu-west-1:123456789012:muster-prod-i-1"

static const QueuePlan plain = {
        .depot = "s3://deploys/muster",
        .group = "prod",
        .instance = "i-0123456789abcdef0",
        .owner = "AROAEXAMPLE:i-0123456789abcdef0",
        .report = "apps/api/groups/prod/instances/AROAEXAMPLE:i-0123456789abcdef0.json",
        .topic = TOPIC,
};

static void assert_name(const QueuePlan *plan, const char *beginning) {
        char name[QUEUE_PLAN_NAME_MAX], again[QUEUE_PLAN_NAME_MAX];

        assert_int_equal(queue_plan_name(plan, name), 0);
        assert_int_equal(queue_plan_name(plan, again), 0);
        assert_string_equal(name, again); /* a restart finds it */
        assert_int_equal(strlen(name), strlen(beginning) + 8);
        assert_memory_equal(name, beginning, strlen(beginning));
        assert_true(sqs_queue_name_is_valid(name));
}

static void test_names(void **state) {
        QueuePlan plan = plain;

        assert_name(&plan, "muster-prod-i-0123456789abcdef0-");
        plan.group = "api.prod_eu";
        assert_name(&plan, "muster-api-prod_eu-i-0123456789abcdef0-");
        plan.group = "0123456789012345678901234567890123456789012345678901234567890123";
        plan.instance = "host.0123456789012345678901234567890123456789012345678901234567";
        assert_name(&plan, "muster-0123456789012345678901234567890-host-012345678901234567890123456-");
        plan.group = "gr\xc3\xbc";
        assert_name(&plan, "muster-gr---host-012345678901234567890123456-");
        (void) state;
}

/* All that it is for makes it another one. */
static void test_names_differ(void **state) {
        char names[5][QUEUE_PLAN_NAME_MAX];
        QueuePlan plans[5] = { plain, plain, plain, plain, plain };

        plans[1].depot = "s3://deploys/other";
        plans[2].group = "prod2";
        plans[3].instance = "i-0123456789abcdef1";
        plans[4].topic = TOPIC "2";
        for (size_t i = 0; i < 5; i++) {
                assert_int_equal(queue_plan_name(&plans[i], names[i]), 0);
                for (size_t j = 0; j < i; j++)
                        assert_string_not_equal(names[i], names[j]);
        }
        (void) state;
}

static const char *text_of(const json_t *object, const char *name) {
        return json_string_value(json_object_get(object, name));
}

static void test_attributes(void **state) {
        json_auto_t *bare = queue_plan_attributes(&plain, NULL), *whole = queue_plan_attributes(&plain, ARN);
        json_auto_t *policy = NULL, *statement = NULL;

        assert_null(text_of(bare, "Policy"));
        assert_string_equal(text_of(bare, "MessageRetentionPeriod"), "3600");
        assert_string_equal(text_of(bare, "VisibilityTimeout"), "60");
        assert_string_equal(text_of(bare, "ReceiveMessageWaitTimeSeconds"), "20");
        assert_string_equal(text_of(bare, "SqsManagedSseEnabled"), "true");
        policy = json_loads(text_of(whole, "Policy"), 0, NULL);
        statement = json_incref(json_array_get(json_object_get(policy, "Statement"), 0));
        assert_int_equal(json_array_size(json_object_get(policy, "Statement")), 1);
        assert_string_equal(text_of(statement, "Effect"), "Allow");
        assert_string_equal(text_of(statement, "Action"), "sqs:SendMessage");
        assert_string_equal(text_of(statement, "Resource"), ARN);
        assert_string_equal(text_of(json_object_get(statement, "Principal"), "Service"), "sns.amazonaws.com");
        assert_string_equal(text_of(json_object_get(json_object_get(statement, "Condition"), "ArnEquals"),
                                    "aws:SourceArn"),
                            TOPIC);
        (void) state;
}

static void test_met(void **state) {
        json_auto_t *wanted = queue_plan_attributes(&plain, ARN), *found = json_deep_copy(wanted);
        json_auto_t *policy = json_loads(text_of(wanted, "Policy"), 0, NULL);
        _cleanup_free_ char *sorted = json_dumps(policy, JSON_SORT_KEYS | JSON_INDENT(4));

        assert_int_equal(json_object_set_new(found, "QueueArn", json_string(ARN)), 0);
        assert_true(queue_plan_is_met(wanted, found));
        assert_int_equal(json_object_set_new(found, "Policy", json_string(sorted)), 0);
        assert_true(queue_plan_is_met(wanted, found));
        assert_int_equal(json_object_set_new(found, "Policy", json_string("{}")), 0);
        assert_false(queue_plan_is_met(wanted, found));
        assert_int_equal(json_object_set_new(found, "Policy", json_string("no JSON")), 0);
        assert_false(queue_plan_is_met(wanted, found));
        assert_int_equal(json_object_del(found, "Policy"), 0);
        assert_false(queue_plan_is_met(wanted, found));
        (void) state;
}

static void test_tags(void **state) {
        json_auto_t *tags = queue_plan_tags(&plain), *fewer = NULL;
        char long_report[300];
        QueuePlan plan = plain;

        assert_int_equal(json_object_size(tags), 6);
        assert_string_equal(text_of(tags, QUEUE_TAG_DEPOT), plain.depot);
        assert_string_equal(text_of(tags, QUEUE_TAG_OWNER), plain.owner);
        assert_string_equal(text_of(tags, QUEUE_TAG_REPORT), plain.report);
        memset(long_report, 'x', sizeof(long_report) - 1);
        long_report[sizeof(long_report) - 1] = '\0';
        plan.report = long_report;
        plan.owner = "AROAEXAMPLE:a,b";
        plan.depot = "s3://deploys/m\xc3\xbcster";
        fewer = queue_plan_tags(&plan);
        assert_int_equal(json_object_size(fewer), 4);
        assert_int_equal(strlen(text_of(fewer, QUEUE_TAG_DEPOT)), strlen("sha256:") + 64);
        assert_string_equal(text_of(fewer, QUEUE_TAG_INSTANCE), plain.instance);
        (void) state;
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_names),      cmocka_unit_test(test_names_differ),
                cmocka_unit_test(test_attributes), cmocka_unit_test(test_met),
                cmocka_unit_test(test_tags),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
