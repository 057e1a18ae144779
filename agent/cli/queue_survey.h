#pragma once

/* The queues that instances of a depot made for themselves, as SQS, Auto Scaling, SNS and the depot know them: which of
 * them are of instances that are gone, and their removal. One request at a time, so that whoever looks at thousands of
 * queues does not take the account's share of the API. */

#include <jansson.h>

#include "agent/cli/depot_access.h"
#include "agent/queue_orphan.h"

#define SURVEY_QUEUES_MAX 20000U /* of one prefix, in one run */
#define SURVEY_PAGES_MAX 1000U   /* of one topic's subscriptions, a hundred each */
#define SURVEY_SUBSCRIPTIONS_MAX 100000U

typedef struct SurveyedQueue {
        char *name;
        char *url;
        json_t *tags;
        json_t *attributes; /* NULL: not asked for, since the instance is there */
        QueueFacts facts;
        QueueOwnerState state;
} SurveyedQueue;

typedef struct SurveyedSubscription {
        char *arn;
        char *queue_arn;
} SurveyedSubscription;

typedef struct QueueSurvey {
        DepotAccess access;
        AwsContext *own_aws; /* where the depot needs none */
        AwsContext *aws;
        SurveyedQueue *queues; /* of this depot, and of the group if one is named, by name */
        size_t n_queues;
        /* of SQS queues that are called as ours are, to the topics of the queues */
        SurveyedSubscription *subscriptions;
        size_t n_subscriptions;
        char **topics;
        const char *group; /* NULL: of every one */
        uint64_t now;
        uint64_t margin;
} QueueSurvey;

void queue_survey_deinit(QueueSurvey *survey);
#define _cleanup_queue_survey_ _cleanup_(queue_survey_deinit)

/* GROUP may be NULL. */
int queue_survey_open(const DepotValues *depot, const char *group, uint64_t now, uint64_t margin,
                      QueueSurvey *ret, Error *error);

/* Fills in the queues, and what has become of their instances. */
int queue_survey_look(QueueSurvey *survey, Error *error);

/* Fills in the subscriptions. */
int queue_survey_look_at_topics(QueueSurvey *survey, Error *error);

/* Takes off its subscriptions and deletes the queue. */
int queue_survey_remove(QueueSurvey *survey, const SurveyedQueue *queue, Error *error);

/* Whether the subscription is of a queue of this account and region that does not exist any more: asked again of SQS, since
 * a list may lack the newest queues for a minute. 0 or 1. */
int queue_survey_dangles(QueueSurvey *survey, const SurveyedSubscription *subscription, Error *error);

int queue_survey_unsubscribe(QueueSurvey *survey, const SurveyedSubscription *subscription, Error *error);

/* The text of a tag, NULL if there is none. */
const char *surveyed_tag(const SurveyedQueue *queue, const char *name);
