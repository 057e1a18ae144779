#include <string.h>

#include "agent/base/parse.h"
#include "agent/cli/queue_survey.h"
#include "agent/config_aws.h"
#include "agent/net/arn.h"
#include "agent/net/sns.h"
#include "agent/net/sqs.h"
#include "agent/queue_plan.h"

#define REPORT_SIZE_MAX (256U * 1024)

static void queue_clear(SurveyedQueue *queue) {
        free(queue->name);
        free(queue->url);
        json_decref(queue->tags);
        json_decref(queue->attributes);
}

void queue_survey_deinit(QueueSurvey *survey) {
        for (size_t i = 0; i < survey->n_queues; i++)
                queue_clear(&survey->queues[i]);
        for (size_t i = 0; i < survey->n_subscriptions; i++) {
                free(survey->subscriptions[i].arn);
                free(survey->subscriptions[i].queue_arn);
        }
        free(survey->queues);
        free(survey->subscriptions);
        strv_free(survey->topics);
        aws_context_free(survey->own_aws);
        depot_access_deinit(&survey->access);
        *survey = (QueueSurvey){};
}

int queue_survey_open(const DepotValues *depot, const char *group, uint64_t now, uint64_t margin,
                      QueueSurvey *ret, Error *error) {
        _cleanup_queue_survey_ QueueSurvey survey = { .group = group, .now = now, .margin = margin };
        _cleanup_(config_freep) Config *config = NULL;
        int r;

        r = depot_access_open(depot, &survey.access, error);
        if (r >= 0)
                r = config_load(depot->config, &config, error);
        if (r >= 0 && !survey.access.aws)
                r = config_aws_context(config, survey.access.event, &survey.own_aws, error);
        if (r < 0)
                return r;
        survey.aws = survey.access.aws ?: survey.own_aws;
        if (config->queue_topic && strv_append(&survey.topics, config->queue_topic) < 0)
                return error_oom(error);
        *ret = survey;
        survey = (QueueSurvey){};
        return 0;
}

const char *surveyed_tag(const SurveyedQueue *queue, const char *name) {
        return json_string_value(json_object_get(queue->tags, name));
}

/* One request at a time: its end is waited for. */

typedef struct Answer {
        bool here;
        int result;
        Error error;
} Answer;

static void arrive(Answer *answer, int result, const Error *error) {
        *answer = (Answer){ true, result, *error };
}

static void on_sqs(_unused_ SqsRequest *request, int result, const Error *error, void *userdata) {
        arrive(userdata, result, error);
}

static void on_sns(_unused_ SnsRequest *request, int result, const Error *error, void *userdata) {
        arrive(userdata, result, error);
}

static void on_scaling(_unused_ AutoScalingRequest *request, int result, const Error *error, void *userdata) {
        arrive(userdata, result, error);
}

/* STARTED: what the function that began the request returned. */
static int wait_for(const QueueSurvey *survey, int started, Answer *answer, Error *error) {
        if (started < 0)
                return started;
        while (!answer->here) {
                int r = sd_event_run(survey->access.event, UINT64_MAX);

                if (r < 0)
                        return error_set_errno(error, r, "cannot use the event loop");
        }
        if (answer->result < 0 && error)
                *error = answer->error;
        return answer->result;
}

/* Queues */

static int add_queue(QueueSurvey *survey, const char *url, Error *error) {
        const char *name = strrchr(url, '/');
        SurveyedQueue *grown;

        if (!name || survey->n_queues == SURVEY_QUEUES_MAX)
                return error_set_fault(error, -E2BIG, FAULT_INPUT,
                                       "more than %u queues: look at one group at a time", SURVEY_QUEUES_MAX);
        grown = reallocarray(survey->queues, survey->n_queues + 1, sizeof(*grown));
        if (!grown)
                return error_oom(error);
        survey->queues = grown;
        grown += survey->n_queues;
        *grown = (SurveyedQueue){ .name = strdup(name + 1), .url = strdup(url) };
        survey->n_queues++;
        return grown->name && grown->url ? 0 : error_oom(error);
}

static int list_page(QueueSurvey *survey, const char *prefix, char **token, Error *error) {
        _cleanup_(sqs_request_freep) SqsRequest *request = NULL;
        const json_t *url;
        Answer answer = {};
        size_t i;
        int r;

        r = sqs_list_queues_start(survey->aws, prefix, *token, on_sqs, &answer, &request, error);
        r = wait_for(survey, r, &answer, error);
        if (r < 0)
                return r;
        json_array_foreach((json_t *) sqs_request_queues(request), i, url) {
                r = add_queue(survey, json_string_value(url), error);
                if (r < 0)
                        return r;
        }
        return string_set(token, sqs_request_token(request)) < 0 ? error_oom(error) : 0;
}

static int list_queues(QueueSurvey *survey, Error *error) {
        char prefix[QUEUE_PLAN_NAME_MAX] = QUEUE_PLAN_PREFIX;
        _cleanup_free_ char *token = NULL;
        int r;

        if (survey->group)
                queue_plan_prefix(survey->group, prefix);
        do
                r = list_page(survey, prefix, &token, error);
        while (r >= 0 && token);
        return r;
}

/* Not there any more is an answer as well: no tags. */
static int look_at_tags(const QueueSurvey *survey, SurveyedQueue *queue, Error *error) {
        _cleanup_(sqs_request_freep) SqsRequest *request = NULL;
        Answer answer = {};
        int r;

        r = sqs_list_tags_start(survey->aws, queue->url, on_sqs, &answer, &request, error);
        r = wait_for(survey, r, &answer, error);
        if (r < 0)
                return r == -ENOENT ? 0 : r;
        queue->tags = json_deep_copy(sqs_request_values(request));
        return queue->tags ? 0 : error_oom(error);
}

static bool is_of_here(const QueueSurvey *survey, const SurveyedQueue *queue) {
        char depot[QUEUE_TAG_MAX];

        if (queue_plan_depot_tag(depot_uri(survey->access.depot), depot) < 0)
                return false;
        return string_equal(surveyed_tag(queue, QUEUE_TAG_DEPOT), depot) &&
               surveyed_tag(queue, QUEUE_TAG_INSTANCE) &&
               (!survey->group || string_equal(surveyed_tag(queue, QUEUE_TAG_GROUP), survey->group));
}

static int note_topic(QueueSurvey *survey, const SurveyedQueue *queue, Error *error) {
        const char *topic = surveyed_tag(queue, QUEUE_TAG_TOPIC);

        if (!topic || strv_contains(survey->topics, topic))
                return 0;
        return strv_append(&survey->topics, topic) < 0 ? error_oom(error) : 0;
}

/* Those of others are left out. */
static int keep_ours(QueueSurvey *survey, Error *error) {
        size_t n = survey->n_queues;
        int r = 0;

        survey->n_queues = 0;
        for (size_t i = 0; i < n; i++) {
                SurveyedQueue queue = survey->queues[i];

                if (r >= 0)
                        r = look_at_tags(survey, &queue, error);
                if (r >= 0 && is_of_here(survey, &queue)) {
                        r = note_topic(survey, &queue, error);
                        survey->queues[survey->n_queues++] = queue;
                } else {
                        queue_clear(&queue);
                }
        }
        return r;
}

/* Their instances */

static void note_instance(QueueSurvey *survey, const AutoScalingInstance *instance) {
        for (size_t i = 0; i < survey->n_queues; i++) {
                SurveyedQueue *queue = &survey->queues[i];

                if (string_equal(surveyed_tag(queue, QUEUE_TAG_INSTANCE), instance->id)) {
                        queue->facts.in_group = true;
                        queue->facts.in_state = instance->state;
                }
        }
}

static int ask_group(QueueSurvey *survey, char *const *ids, Error *error) {
        _cleanup_(autoscaling_request_freep) AutoScalingRequest *request = NULL;
        const AutoScalingInstance *instances;
        Answer answer = {};
        size_t n;
        int r;

        r = autoscaling_describe_instances_start(survey->aws, ids, on_scaling, &answer, &request, error);
        r = wait_for(survey, r, &answer, error);
        if (r < 0)
                return r;
        instances = autoscaling_request_instances(request, &n);
        for (size_t i = 0; i < n; i++)
                note_instance(survey, &instances[i]);
        return 0;
}

static int ask_groups(QueueSurvey *survey, Error *error) {
        char *ids[AUTOSCALING_INSTANCES_MAX + 1] = {};
        size_t n = 0;
        int r = 0;

        for (size_t i = 0; i < survey->n_queues && r >= 0; i++) {
                const char *instance = surveyed_tag(&survey->queues[i], QUEUE_TAG_INSTANCE);

                if (is_ec2_instance_id(instance))
                        ids[n++] = (char *) instance;
                ids[n] = NULL;
                if (n == AUTOSCALING_INSTANCES_MAX) {
                        r = ask_group(survey, ids, error);
                        n = 0;
                }
        }
        return r < 0 || n == 0 ? r : ask_group(survey, ids, error);
}

/* A report that is not there, or is none, says nothing. */
static int look_at_report(const QueueSurvey *survey, SurveyedQueue *queue, Error *error) {
        const char *key = surveyed_tag(queue, QUEUE_TAG_REPORT), *reported;
        _cleanup_depot_reply_ DepotReply reply = {};
        json_auto_t *report = NULL;
        int r;

        if (!key)
                return 0;
        r = depot_access_get(&survey->access, key, REPORT_SIZE_MAX, &reply, error);
        if (r < 0)
                return r == -E2BIG || r == -EINVAL ? 0 : r;
        if (reply.outcome != DEPOT_OK)
                return 0;
        report = json_loadb((const char *) reply.body, reply.body_size, 0, NULL);
        reported = json_string_value(json_object_get(report, "reported"));
        if (reported)
                (void) parse_time(reported, &queue->facts.reported);
        return 0;
}

/* Seconds, perhaps with a fraction. A queue of which nobody says how old it is, is new. */
static uint64_t time_of(const char *text, uint64_t otherwise) {
        double seconds;
        char *end;

        if (!text)
                return otherwise;
        seconds = strtod(text, &end);
        if (!(seconds > 0) || *end || seconds > UINT32_MAX)
                return otherwise;
        return (uint64_t) seconds * USEC_PER_SEC;
}

static int look_at_attributes(const QueueSurvey *survey, SurveyedQueue *queue, Error *error) {
        _cleanup_(sqs_request_freep) SqsRequest *request = NULL;
        Answer answer = {};
        int r;

        r = sqs_get_attributes_start(survey->aws, queue->url, on_sqs, &answer, &request, error);
        r = wait_for(survey, r, &answer, error);
        if (r < 0)
                return r == -ENOENT ? 0 : r;
        queue->attributes = json_deep_copy(sqs_request_values(request));
        if (!queue->attributes)
                return error_oom(error);
        queue->facts.created = time_of(
                json_string_value(json_object_get(queue->attributes, "CreatedTimestamp")), survey->now);
        return 0;
}

/* What it takes to tell. */
static int judge(const QueueSurvey *survey, SurveyedQueue *queue, Error *error) {
        int r = 0;

        queue->facts.now = survey->now;
        queue->facts.margin = survey->margin;
        if (queue_owner_state(&queue->facts) != QUEUE_OWNER_IN_GROUP) {
                r = look_at_report(survey, queue, error);
                if (r >= 0)
                        r = look_at_attributes(survey, queue, error);
        }
        queue->state = queue_owner_state(&queue->facts);
        return r;
}

int queue_survey_look(QueueSurvey *survey, Error *error) {
        int r;

        r = list_queues(survey, error);
        if (r >= 0)
                r = keep_ours(survey, error);
        if (r >= 0)
                r = ask_groups(survey, error);
        for (size_t i = 0; i < survey->n_queues && r >= 0; i++)
                r = judge(survey, &survey->queues[i], error);
        return r;
}

/* Subscriptions */

static bool is_called_like_ours(const SnsSubscription *subscription) {
        Arn arn;

        return strcmp(subscription->protocol, "sqs") == 0 && arn_parse(subscription->endpoint, &arn) &&
               string_starts_with(arn.resource, QUEUE_PLAN_PREFIX) && arn_parse(subscription->arn, &arn);
}

static int add_subscription(QueueSurvey *survey, const SnsSubscription *subscription, Error *error) {
        SurveyedSubscription *grown;

        if (survey->n_subscriptions == SURVEY_SUBSCRIPTIONS_MAX)
                return error_set_fault(error, -E2BIG, FAULT_INPUT, "more than %u subscriptions",
                                       SURVEY_SUBSCRIPTIONS_MAX);
        grown = reallocarray(survey->subscriptions, survey->n_subscriptions + 1, sizeof(*grown));
        if (!grown)
                return error_oom(error);
        survey->subscriptions = grown;
        grown += survey->n_subscriptions++;
        *grown = (SurveyedSubscription){ strdup(subscription->arn), strdup(subscription->endpoint) };
        return grown->arn && grown->queue_arn ? 0 : error_oom(error);
}

static int list_subscriptions(QueueSurvey *survey, const char *topic, char **token, Error *error) {
        _cleanup_(sns_request_freep) SnsRequest *request = NULL;
        const SnsSubscription *subscriptions;
        Answer answer = {};
        size_t n;
        int r;

        r = sns_list_start(survey->aws, topic, *token, on_sns, &answer, &request, error);
        r = wait_for(survey, r, &answer, error);
        if (r == -ENOENT) /* with the topic its subscriptions have ended */
                return string_set(token, NULL) < 0 ? error_oom(error) : 0;
        if (r < 0)
                return r;
        subscriptions = sns_request_subscriptions(request, &n);
        for (size_t i = 0; i < n; i++) {
                r = is_called_like_ours(&subscriptions[i])
                            ? add_subscription(survey, &subscriptions[i], error)
                            : 0;
                if (r < 0)
                        return r;
        }
        return string_set(token, sns_request_token(request)) < 0 ? error_oom(error) : 0;
}

int queue_survey_look_at_topics(QueueSurvey *survey, Error *error) {
        int r = 0;

        STRV_FOREACH(topic, survey->topics) {
                _cleanup_free_ char *token = NULL;
                unsigned pages = 0;

                do
                        r = list_subscriptions(survey, *topic, &token, error);
                while (r >= 0 && token && ++pages < SURVEY_PAGES_MAX);
                if (r < 0)
                        break;
        }
        return r;
}

int queue_survey_unsubscribe(QueueSurvey *survey, const SurveyedSubscription *subscription, Error *error) {
        _cleanup_(sns_request_freep) SnsRequest *request = NULL;
        Answer answer = {};
        int r;

        r = sns_unsubscribe_start(survey->aws, subscription->arn, on_sns, &answer, &request, error);
        return wait_for(survey, r, &answer, error);
}

static const char *arn_of(const SurveyedQueue *queue) {
        return json_string_value(json_object_get(queue->attributes, "QueueArn"));
}

int queue_survey_remove(QueueSurvey *survey, const SurveyedQueue *queue, Error *error) {
        _cleanup_(sqs_request_freep) SqsRequest *request = NULL;
        Answer answer = {};
        int r = 0;

        for (size_t i = 0; i < survey->n_subscriptions && r >= 0; i++)
                if (string_equal(survey->subscriptions[i].queue_arn, arn_of(queue)))
                        r = queue_survey_unsubscribe(survey, &survey->subscriptions[i], error);
        if (r < 0)
                return r;
        r = sqs_delete_queue_start(survey->aws, queue->url, on_sqs, &answer, &request, error);
        r = wait_for(survey, r, &answer, error);
        return r == -ENOENT ? 0 : r;
}

int queue_survey_dangles(QueueSurvey *survey, const SurveyedSubscription *subscription, Error *error) {
        _cleanup_(sqs_request_freep) SqsRequest *request = NULL;
        const char *region = aws_context_region(survey->aws);
        Answer answer = {};
        Arn queue, topic;
        int r;

        if (!arn_parse(subscription->queue_arn, &queue) || !arn_parse(subscription->arn, &topic) ||
            !string_equal(queue.region, region) || strcmp(queue.account, topic.account) != 0)
                return 0;
        for (size_t i = 0; i < survey->n_queues; i++)
                if (strcmp(survey->queues[i].name, queue.resource) == 0)
                        return 0;
        r = sqs_get_queue_url_start(survey->aws, queue.resource, on_sqs, &answer, &request, error);
        r = wait_for(survey, r, &answer, error);
        return r == -ENOENT ? 1 : r < 0 ? r : 0;
}
