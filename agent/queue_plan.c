#include <ctype.h>
#include <string.h>

#include "agent/base/cleanup.h"
#include "agent/net/digest.h"
#include "agent/net/sqs.h"
#include "agent/queue.h"
#include "agent/queue_plan.h"

#define INSTANCE_MAX 32 /* characters of it in the name */
#define GROUP_MAX 31
#define DIGEST_CHARACTERS 8

/* At most N characters of FROM, those that the name of a queue may have. */
static size_t copy_part(char *to, const char *from, size_t n) {
        size_t i;

        for (i = 0; i < n && from[i]; i++)
                to[i] = (char) (isascii(from[i]) && (isalnum((unsigned char) from[i]) || from[i] == '_')
                                        ? from[i]
                                        : '-');
        to[i] = '\0';
        return i;
}

_Static_assert(sizeof(QUEUE_PLAN_PREFIX) + GROUP_MAX + 1 + INSTANCE_MAX + 1 + DIGEST_CHARACTERS <=
                       QUEUE_PLAN_NAME_MAX,
               "a name has room for its parts");

void queue_plan_prefix(const char *group, char ret[static QUEUE_PLAN_NAME_MAX]) {
        size_t n = strlen(QUEUE_PLAN_PREFIX);

        memcpy(ret, QUEUE_PLAN_PREFIX, n);
        n += copy_part(ret + n, group, GROUP_MAX);
        ret[n++] = '-';
        ret[n] = '\0';
}

int queue_plan_name(const QueuePlan *plan, char ret[static QUEUE_PLAN_NAME_MAX]) {
        _cleanup_free_ char *text = NULL;
        char digest[DIGEST_HEX_SIZE], instance[INSTANCE_MAX + 1];
        size_t n;

        if (asprintf(&text, "%s\n%s\n%s\n%s", plan->depot, plan->group, plan->instance, plan->topic) < 0) {
                text = NULL;
                return -ENOMEM;
        }
        if (digest_sha256_hex(text, strlen(text), digest) < 0)
                return -ENOMEM;
        queue_plan_prefix(plan->group, ret);
        (void) copy_part(instance, plan->instance, INSTANCE_MAX);
        n = strlen(ret);
        snprintf(ret + n, QUEUE_PLAN_NAME_MAX - n, "%s-%.*s", instance, DIGEST_CHARACTERS, digest);
        return 0;
}

static int add_text(json_t *object, const char *name, const char *value) {
        return json_object_set_new(object, name, json_string(value));
}

static int add_number(json_t *object, const char *name, unsigned value) {
        char text[16];

        snprintf(text, sizeof(text), "%u", value);
        return add_text(object, name, text);
}

static int add_policy(json_t *object, const QueuePlan *plan, const char *queue_arn) {
        json_auto_t *policy =
                json_pack("{s:s, s:[{s:s, s:s, s:{s:s}, s:s, s:s, s:{s:{s:s}}}]}", "Version", "2012-10-17",
                          "Statement", "Sid", "TheTopicSends", "Effect", "Allow", "Principal", "Service",
                          "sns.amazonaws.com", "Action", "sqs:SendMessage", "Resource", queue_arn,
                          "Condition", "ArnEquals", "aws:SourceArn", plan->topic);
        _cleanup_free_ char *text = policy ? json_dumps(policy, JSON_COMPACT) : NULL;

        return text ? add_text(object, "Policy", text) : -1;
}

json_t *queue_plan_attributes(const QueuePlan *plan, const char *queue_arn) {
        json_auto_t *attributes = json_object();

        if (add_number(attributes, "MessageRetentionPeriod", QUEUE_PLAN_RETENTION) < 0 ||
            add_number(attributes, "VisibilityTimeout", QUEUE_VISIBILITY) < 0 ||
            add_number(attributes, "ReceiveMessageWaitTimeSeconds", SQS_WAIT_MAX) < 0 ||
            add_text(attributes, "SqsManagedSseEnabled", "true") < 0 ||
            (queue_arn && add_policy(attributes, plan, queue_arn) < 0))
                return NULL;
        return json_incref(attributes);
}

/* Letters, digits, spaces and a few signs ("Tag naming limits and requirements" in the AWS Billing User Guide). */
static bool is_tag_value(const char *value) {
        for (const char *p = value; *p; p++)
                if (!isascii(*p) || (!isalnum((unsigned char) *p) && !strchr(" +-=._:/@", *p)))
                        return false;
        return *value && strlen(value) < QUEUE_TAG_MAX;
}

int queue_plan_depot_tag(const char *depot, char ret[static QUEUE_TAG_MAX]) {
        char digest[DIGEST_HEX_SIZE];

        if (is_tag_value(depot)) {
                snprintf(ret, QUEUE_TAG_MAX, "%s", depot);
                return 0;
        }
        if (digest_sha256_hex(depot, strlen(depot), digest) < 0)
                return -ENOMEM;
        snprintf(ret, QUEUE_TAG_MAX, "sha256:%s", digest);
        return 0;
}

json_t *queue_plan_tags(const QueuePlan *plan) {
        char depot[QUEUE_TAG_MAX];
        const char *const rows[][2] = {
                { QUEUE_TAG_DEPOT, depot },
                { QUEUE_TAG_GROUP, plan->group },
                { QUEUE_TAG_INSTANCE, plan->instance },
                { QUEUE_TAG_OWNER, plan->owner },
                { QUEUE_TAG_REPORT, plan->report },
                { QUEUE_TAG_TOPIC, plan->topic },
        };
        json_auto_t *tags = json_object();

        if (queue_plan_depot_tag(plan->depot, depot) < 0)
                return NULL;
        for (size_t i = 0; i < ELEMENTSOF(rows); i++)
                if (rows[i][1] && is_tag_value(rows[i][1]) && add_text(tags, rows[i][0], rows[i][1]) < 0)
                        return NULL;
        return json_incref(tags);
}

static bool says_the_same(const char *name, const char *a, const char *b) {
        json_auto_t *one = NULL, *other = NULL;

        if (strcmp(name, "Policy") != 0)
                return strcmp(a, b) == 0;
        one = json_loads(a, JSON_REJECT_DUPLICATES, NULL);
        other = json_loads(b, JSON_REJECT_DUPLICATES, NULL);
        return one && json_equal(one, other);
}

bool queue_plan_is_met(const json_t *wanted, const json_t *found) {
        const json_t *value;
        const char *name;

        json_object_foreach((json_t *) wanted, name, value) {
                const char *other = json_string_value(json_object_get(found, name));

                if (!other || !says_the_same(name, json_string_value(value), other))
                        return false;
        }
        return true;
}
