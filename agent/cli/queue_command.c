#include <string.h>

#include "agent/base/parse.h"
#include "agent/cli/output.h"
#include "agent/cli/queue_command.h"
#include "agent/cli/queue_survey.h"
#include "agent/cli/shared_options.h"
#include "agent/cli/table.h"
#include "agent/queue_plan.h"

#define MARGIN "1h"
#define LIMIT "1000"

typedef struct QueueValues {
        DepotValues depot;
        const char *group;
        OptionNumber older_than;
        OptionNumber limit;
        bool yes;
} QueueValues;

static int look(const Cli *cli, const QueueValues *values, QueueSurvey *ret, Error *error) {
        _cleanup_queue_survey_ QueueSurvey survey = {};
        int r;

        r = queue_survey_open(&values->depot, values->group, clock_realtime(cli->clock),
                              values->older_than.value, &survey, error);
        if (r >= 0)
                r = queue_survey_look(&survey, error);
        if (r < 0)
                return r;
        *ret = survey;
        survey = (QueueSurvey){};
        return 0;
}

static void time_or_nothing(uint64_t time, char ret[static TIME_TEXT_MAX]) {
        ret[0] = '\0';
        if (time > 0)
                format_time(time, ret);
}

static json_t *queue_to_json(const SurveyedQueue *queue) {
        char reported[TIME_TEXT_MAX], created[TIME_TEXT_MAX];

        time_or_nothing(queue->facts.reported, reported);
        time_or_nothing(queue->facts.created, created);
        return json_pack("{s:s, s:s, s:s?, s:s?, s:s, s:s?, s:s?, s:s?}", "queue", queue->name, "url",
                         queue->url, "group", surveyed_tag(queue, QUEUE_TAG_GROUP), "instance",
                         surveyed_tag(queue, QUEUE_TAG_INSTANCE), "state",
                         queue_owner_state_to_string(queue->state), "reported", *reported ? reported : NULL,
                         "created", *created ? created : NULL, "topic", surveyed_tag(queue, QUEUE_TAG_TOPIC));
}

/* Those whose instance is gone, or all. */
static json_t *queues_to_json(const QueueSurvey *survey, bool gone_only) {
        json_auto_t *array = json_array();

        for (size_t i = 0; i < survey->n_queues; i++)
                if ((!gone_only || survey->queues[i].state == QUEUE_OWNER_GONE) &&
                    json_array_append_new(array, queue_to_json(&survey->queues[i])) < 0)
                        return NULL;
        return json_incref(array);
}

static int print_queues(const Cli *cli, const QueueSurvey *survey, bool gone_only, Error *error) {
        _cleanup_table_ Table table = { .n_columns = 5 };
        int r;

        r = table_add(&table, TABLE_ROW("QUEUE", "GROUP", "INSTANCE", "STATE", "LAST REPORT"));
        for (size_t i = 0; i < survey->n_queues && r >= 0; i++) {
                const SurveyedQueue *queue = &survey->queues[i];
                char reported[TIME_TEXT_MAX];

                time_or_nothing(queue->facts.reported, reported);
                if (!gone_only || queue->state == QUEUE_OWNER_GONE)
                        r = table_add(&table, TABLE_ROW(queue->name, surveyed_tag(queue, QUEUE_TAG_GROUP),
                                                        surveyed_tag(queue, QUEUE_TAG_INSTANCE),
                                                        queue_owner_state_to_string(queue->state),
                                                        *reported ? reported : NULL));
        }
        if (r < 0)
                return error_oom(error);
        table_print(&table, cli->out, &cli->out_style);
        return 0;
}

static int run_list(Cli *cli, void *values, _unused_ char **arguments, Error *error) {
        _cleanup_queue_survey_ QueueSurvey survey = {};
        int r;

        r = look(cli, values, &survey, error);
        if (r < 0)
                return r;
        if (cli->json)
                return output_json(cli, json_pack("{s:o}", "queues", queues_to_json(&survey, false)), error);
        if (survey.n_queues == 0) {
                cli_say(cli, "no instance of this depot has a queue of its own");
                return 0;
        }
        return print_queues(cli, &survey, false, error);
}

/* Removal. What cannot be removed is said, and the rest goes on. */

typedef struct Removal {
        const Cli *cli;
        uint64_t left; /* how many more may go */
        uint64_t failed;
        int first_failure;
        json_t *queues, *subscriptions; /* that are gone now, or would be */
} Removal;

static void note_failure(Removal *removal, int r, const Error *error) {
        cli_print_error(removal->cli, error);
        removal->failed++;
        if (removal->first_failure == 0)
                removal->first_failure = r;
}

static int note_removed(json_t *array, const char *what, Error *error) {
        return json_array_append_new(array, json_string(what)) < 0 ? error_oom(error) : 0;
}

static int remove_queues(QueueSurvey *survey, Removal *removal, Error *error) {
        int r = 0;

        for (size_t i = 0; i < survey->n_queues && r >= 0 && removal->left > 0; i++) {
                const SurveyedQueue *queue = &survey->queues[i];
                Error problem = {};

                if (queue->state != QUEUE_OWNER_GONE)
                        continue;
                removal->left--;
                r = queue_survey_remove(survey, queue, &problem);
                if (r < 0) {
                        error_prefix(&problem, "%s", queue->name);
                        note_failure(removal, r, &problem);
                        r = 0;
                } else {
                        cli_say(removal->cli, "%s is removed", queue->name);
                        r = note_removed(removal->queues, queue->name, error);
                }
        }
        return r;
}

static int end_subscription(QueueSurvey *survey, const SurveyedSubscription *subscription, bool yes,
                            Removal *removal, Error *error) {
        Error problem = {};
        int dangles, r;

        r = dangles = queue_survey_dangles(survey, subscription, &problem);
        if (dangles > 0 && yes)
                r = queue_survey_unsubscribe(survey, subscription, &problem);
        if (r < 0)
                note_failure(removal, r, &problem);
        if (r < 0 || dangles == 0)
                return 0;
        removal->left--;
        cli_say(removal->cli, "the subscription of %s, which is no more, %s", subscription->queue_arn,
                yes ? "is removed" : "would be removed");
        return note_removed(removal->subscriptions, subscription->arn, error);
}

static int end_subscriptions(QueueSurvey *survey, bool yes, Removal *removal, Error *error) {
        int r = 0;

        for (size_t i = 0; i < survey->n_subscriptions && r >= 0 && removal->left > 0; i++)
                r = end_subscription(survey, &survey->subscriptions[i], yes, removal, error);
        return r;
}

static size_t count_gone(const QueueSurvey *survey) {
        size_t n = 0;

        for (size_t i = 0; i < survey->n_queues; i++)
                n += survey->queues[i].state == QUEUE_OWNER_GONE;
        return n;
}

static int tell_gc(const Cli *cli, const QueueSurvey *survey, const Removal *removal, bool yes,
                   Error *error) {
        size_t gone = count_gone(survey), ended = json_array_size(removal->subscriptions);
        int r = 0;

        if (cli->json)
                return output_json(cli,
                                   json_pack("{s:b, s:i, s:o, s:O, s:O, s:I}", "dry_run", !yes, "looked_at",
                                             (int) survey->n_queues, "gone", queues_to_json(survey, true),
                                             "removed", removal->queues, "subscriptions",
                                             removal->subscriptions, "failed", (json_int_t) removal->failed),
                                   error);
        if (gone > 0 && !yes)
                r = print_queues(cli, survey, true, error);
        if (r < 0)
                return r;
        if (gone == 0 && ended == 0 && removal->failed > 0)
                return 0; /* which was said */
        if (gone == 0 && ended == 0)
                cli_say(cli, "nothing to remove: %zu queue%s, each of an instance that is there",
                        survey->n_queues, survey->n_queues == 1 ? "" : "s");
        else if (!yes)
                cli_say(cli, "%zu of %zu queue%s %s gone; --yes removes %s", gone, survey->n_queues,
                        survey->n_queues == 1 ? "" : "s",
                        gone == 1 ? "is of an instance that is" : "are of instances that are",
                        gone == 1 ? "it" : "them");
        return 0;
}

static int collect(Cli *cli, const QueueValues *values, QueueSurvey *survey, Removal *removal, Error *error) {
        int r;

        r = queue_survey_look_at_topics(survey, error);
        if (r >= 0 && values->yes)
                r = remove_queues(survey, removal, error);
        if (r >= 0)
                r = end_subscriptions(survey, values->yes, removal, error);
        if (r >= 0)
                r = tell_gc(cli, survey, removal, values->yes, error);
        if (r >= 0 && removal->failed > 0)
                return (int) cli_exit_code(removal->first_failure);
        return r;
}

static int run_gc(Cli *cli, void *values, _unused_ char **arguments, Error *error) {
        const QueueValues *given = values;
        _cleanup_queue_survey_ QueueSurvey survey = {};
        Removal removal = { .cli = cli, .left = given->limit.value };
        int r;

        removal.queues = json_array();
        removal.subscriptions = json_array();
        r = look(cli, given, &survey, error);
        if (r >= 0)
                r = removal.queues && removal.subscriptions ? collect(cli, given, &survey, &removal, error)
                                                            : error_oom(error);
        json_decref(removal.queues);
        json_decref(removal.subscriptions);
        return r;
}

#define ONE_GROUP_OPTION                                                                                     \
        {                                                                                                    \
                .name = "group", .letter = 'g', .type = OPTION_NAME, OPTION_INTO(QueueValues, group),        \
                .value = "NAME", .help = "of this deployment group only"                                     \
        }

#define OLDER_THAN_OPTION                                                                                    \
        {                                                                                                    \
                .name = "older-than", .type = OPTION_DURATION, OPTION_INTO(QueueValues, older_than),         \
                .value = "TIME",                                                                             \
                .help = "how old a queue and its instance's last report must be to count as left",           \
                .initial = MARGIN                                                                            \
        }

static const Option list_options[] = {
        ONE_GROUP_OPTION,
        OLDER_THAN_OPTION,
        DEPOT_OPTIONS(QueueValues, depot),
        OPTION_END,
};

static const Command command_queue_list = {
        .name = "list",
        .summary = "list the queues that instances made for themselves",
        .description =
                "Of each queue: whether Auto Scaling has its instance (in its group), the instance reports to the depot, the "
                "queue is too new to tell, or the instance is gone.",
        .options = list_options,
        .values_size = sizeof(QueueValues),
        .examples =
                (const Example[]){
                        { "Those of one group.", "muster queue list --group prod" },
                        {},
                },
        .run = run_list,
};

static const Option gc_options[] = {
        ONE_GROUP_OPTION,
        OLDER_THAN_OPTION,
        { .name = "limit",
          .type = OPTION_NUMBER,
          OPTION_INTO(QueueValues, limit),
          .value = "N",
          .help = "remove at most N queues and subscriptions",
          .initial = LIMIT },
        { .name = "yes",
          .letter = 'y',
          .type = OPTION_FLAG,
          OPTION_INTO(QueueValues, yes),
          .help = "remove them; without it they are only listed" },
        DEPOT_OPTIONS(QueueValues, depot),
        OPTION_END,
};

static const Command command_queue_gc = {
        .name = "gc",
        .summary = "remove the queues of instances that are gone",
        .description =
                "Queues and subscriptions of instances that ended without a word: Auto Scaling does not have the instance, it "
                "does not report to the depot, and the queue is not new. Queues of other depots are left alone. An instance "
                "that is there after all makes its queue again.",
        .options = gc_options,
        .values_size = sizeof(QueueValues),
        .examples =
                (const Example[]){
                        { "What would go?", "muster queue gc" },
                        { "Every night, from a timer.", "muster queue gc --yes --quiet" },
                        {},
                },
        .run = run_gc,
};

const Command command_queue = {
        .name = "queue",
        .summary = "look after the queues that instances made for themselves",
        .verbs =
                (const Command *const[]){
                        &command_queue_list,
                        &command_queue_gc,
                        NULL,
                },
};
