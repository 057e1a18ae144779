#include <string.h>

#include "agent/base/clock.h"
#include "agent/base/parse.h"
#include "agent/base/strv.h"
#include "agent/config_check.h"
#include "agent/health_verdict.h"
#include "agent/net/arn.h"
#include "agent/net/elb_answer.h"
#include "agent/net/sqs_message.h"
#include "agent/net/url.h"

#define TIME_MIN (1 * USEC_PER_SEC)
#define HOOK_NAME_MAX 255U
#define TARGET_GROUP_NAME_MAX 32U
#define LETTERS_AND_DIGITS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

static bool group_is_valid(const char *group) {
        return strcmp(group, "auto-scaling-group") == 0 || (string_starts_with(group, "tag:") && group[4]) ||
               name_is_valid(group);
}

int config_check_aws(const Config *config, Error *error) {
        const S3BucketTerms terms = config_bucket_terms(config);

        return s3_bucket_terms_check(&terms, error);
}

static int check_depot(const char *uri, Error *error) {
        _cleanup_free_ char *bucket = NULL;
        int r;

        if (string_starts_with(uri, "file:///"))
                return 0;
        if (!string_starts_with(uri, "s3://"))
                return error_set_fault(
                        error, -EINVAL, FAULT_INPUT,
                        "[agent] depot is '%s', expected s3://BUCKET[/PREFIX] or file:///FOLDER", uri);
        bucket = strndup(uri + strlen("s3://"), strcspn(uri + strlen("s3://"), "/"));
        if (!bucket)
                return error_oom(error);
        r = s3_bucket_check(bucket, error);
        if (r < 0)
                error_prefix(error, "[agent] depot");
        return r;
}

/* What holds also before there is a depot. The sandbox of muster-unpack mounts a folder beneath state_dir, in a notation
 * that ends a path with ":". */
static int check_places(const Config *config, Error *error) {
        if (!config->state_dir || strchr(config->state_dir, ':'))
                return error_set_fault(error, -EINVAL, FAULT_INPUT,
                                       "[agent] state_dir is '%s', expected an absolute path without ':'",
                                       config->state_dir ? config->state_dir : "");
        if (config->keep_releases == 0)
                return error_set_fault(error, -EINVAL, FAULT_INPUT,
                                       "[agent] keep_releases is 0, expected at least 1");
        return 0;
}

static bool queue_url_is_valid(const char *queue) {
        _cleanup_url_ Url url = {};

        return url_parse(queue, &url, NULL) >= 0 && url.path[1] && !url.query;
}

static bool queue_is_valid(const char *queue) {
        return strstr(queue, "://") ? queue_url_is_valid(queue) : sqs_queue_name_is_valid(queue);
}

static bool topic_is_valid(const char *topic) {
        Arn arn;

        return arn_parse(topic, &arn) && strcmp(arn.service, "sns") == 0 && arn.region[0];
}

static int check_notify(const Config *config, Error *error) {
        if (config->notify_topic && !topic_is_valid(config->notify_topic))
                return error_set_fault(error, -EINVAL, FAULT_INPUT,
                                       "[notify] topic is '%s', expected the ARN of an SNS topic such as "
                                       "arn:aws:sns:eu-central-1:123456789012:deploys",
                                       config->notify_topic);
        return 0;
}

static int check_queue(const Config *config, Error *error) {
        if (config->queue && !queue_is_valid(config->queue))
                return error_set_fault(
                        error, -EINVAL, FAULT_INPUT,
                        "[agent] queue is '%s', expected own, or the name or the URL of an SQS queue",
                        config->queue);
        if (config->queue_topic && !topic_is_valid(config->queue_topic))
                return error_set_fault(
                        error, -EINVAL, FAULT_INPUT,
                        "[agent] queue_topic is '%s', expected the ARN of an SNS topic such as "
                        "arn:aws:sns:eu-central-1:123456789012:api-prod",
                        config->queue_topic);
        if (config_has_own_queue(config) && !config->queue_topic)
                return error_set_fault(error, -EINVAL, FAULT_INPUT,
                                       "[agent] queue = own needs queue_topic, the ARN of the SNS topic that "
                                       "it is subscribed to");
        if (config->queue_topic && !config_has_own_queue(config))
                return error_set_fault(error, -EINVAL, FAULT_INPUT,
                                       "[agent] queue_topic is for queue = own only");
        return 0;
}

/* "LifecycleHookName" in the Amazon EC2 Auto Scaling API Reference. */
static int check_hook(const char *section, const char *hook, Error *error) {
        size_t n = hook ? strlen(hook) : 1;

        if (!hook || (n <= HOOK_NAME_MAX && strspn(hook, LETTERS_AND_DIGITS "-_/") == n))
                return 0;
        return error_set_fault(error, -EINVAL, FAULT_INPUT,
                               "[%s] hook is '%s', expected auto, none or the name of a lifecycle hook",
                               section, hook);
}

static bool target_group_is_valid(const char *group) {
        size_t n = strlen(group);

        return elb_is_target_group_arn(group) ||
               (n <= TARGET_GROUP_NAME_MAX && strspn(group, LETTERS_AND_DIGITS "-") == n);
}

static int check_target_groups(const Config *config, Error *error) {
        _cleanup_strv_ char **groups = NULL;

        if (strv_split(config->target_groups ? config->target_groups : "", " \t", &groups) < 0)
                return error_oom(error);
        STRV_FOREACH(group, groups)
                if (!target_group_is_valid(*group))
                        return error_set_fault(
                                error, -EINVAL, FAULT_INPUT,
                                "[traffic] target_groups has '%s', expected names or ARNs of target groups "
                                "with spaces between them",
                                *group);
        return 0;
}

/* What is asked again after so long would be asked without end, and what may take no time would always have failed. */
static int check_times(const Config *config, Error *error) {
        const struct {
                const char *key;
                uint64_t value;
        } times[] = {
                { "[traffic] drain_timeout", config->drain_timeout },
                { "[traffic] healthy_timeout", config->healthy_timeout },
                { "[leave] metadata_interval", config->metadata_interval },
                { "[launch] heartbeat_interval",
                  config->heartbeat_interval > 0 ? config->heartbeat_interval : TIME_MIN },
        };
        char text[DURATION_TEXT_MAX];

        for (size_t i = 0; i < ELEMENTSOF(times); i++) {
                if (times[i].value >= TIME_MIN)
                        continue;
                format_duration(times[i].value, text);
                return error_set_fault(error, -EINVAL, FAULT_INPUT, "%s is %s, expected at least 1s",
                                       times[i].key, text);
        }
        return 0;
}

static int check_health(const AppConfig *app, Error *error) {
        if (app->health_failures >= 1 && app->health_restarts <= HEALTH_RESTARTS_MAX &&
            app->healthy_percent <= 100)
                return 0;
        return error_set_fault(
                error, -EINVAL, FAULT_INPUT,
                "[app %s] expected health_failures of at least 1, health_restarts up to %u and "
                "healthy_percent up to 100",
                app->name, HEALTH_RESTARTS_MAX);
}

int config_check(const Config *config, Error *error) {
        int r;

        r = check_places(config, error);
        if (r >= 0)
                r = check_times(config, error);
        if (r >= 0)
                r = check_target_groups(config, error);
        if (r >= 0)
                r = check_hook("launch", config->launch_hook, error);
        if (r >= 0)
                r = check_hook("leave", config->leave_hook, error);
        for (size_t i = 0; i < config->n_apps && r >= 0; i++)
                r = check_health(&config->apps[i], error);
        if (r >= 0)
                r = config_check_aws(config, error);
        if (r < 0)
                return r;
        if (!config->depot)
                return 0;
        r = check_depot(config->depot, error);
        if (r < 0)
                return r;
        if (!config->group || !group_is_valid(config->group))
                return error_set_fault(
                        error, -EINVAL, FAULT_INPUT,
                        "[agent] group is '%s', expected a name, tag:KEY or auto-scaling-group",
                        config->group ? config->group : "");
        if (config->poll_interval == 0 || config->report_interval == 0)
                return error_set_fault(error, -EINVAL, FAULT_INPUT,
                                       "[agent] poll_interval and report_interval must be more than 0");
        r = check_notify(config, error);
        if (r >= 0)
                r = check_queue(config, error);
        if (r < 0)
                return r;
        if (config->n_apps == 0)
                return error_set_fault(error, -EINVAL, FAULT_INPUT,
                                       "a depot is given but no app: add a section [app NAME]");
        return 0;
}
