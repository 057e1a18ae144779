#include <stddef.h>
#include <string.h>

#include "agent/base/parse.h"
#include "agent/base/strv.h"
#include "agent/config_keys.h"

static const char *const failure_choices[] = { "abandon", "continue", "wait", NULL };
static const char *const warning_choices[] = { "ignore", "drain", NULL }; /* WarningAction */
static const char *const unhealthy_choices[] = { "report", "replace", NULL };
static const char *const addressing_choices[] = { "auto", "path", "virtual", NULL };

static const char *const encryption_choices[] = { "default", "AES256", "aws:kms", "aws:kms:dsse", NULL };
static const char *const endpoint_choices[] = { "auto", "yes", "no", NULL };

static const char *const unlimited_word[] = { "unlimited", NULL };
static const char *const auto_word[] = { "auto", NULL };

#define A_DURATION "a duration such as 60s or 5m"
#define A_PATH "an absolute path"
#define A_URL "a URL such as https://host:port"
#define A_BOOLEAN "yes or no"

#define AGENT(name, type, text, expected, help)                                                              \
        { "agent", #name, text, expected, help, type, offsetof(Config, name), NULL }
#define AMOUNT(name, type, word, text, expected, help)                                                       \
        { "agent", #name, text, expected, help, type, offsetof(Config, name), word }
#define TRAFFIC(name, type, text, expected, help)                                                            \
        { "traffic", #name, text, expected, help, type, offsetof(Config, name), NULL }
#define AWS(name, type, text, expected, help)                                                                \
        { "aws", #name, text, expected, help, type, offsetof(Config, name), NULL }

#define AWS_CHOICE(name, choices, expected, help)                                                            \
        { "aws", #name, "auto", expected, help, CONFIG_CHOICE, offsetof(Config, name), choices }

static const ConfigKey keys[] = {
        AGENT(depot, CONFIG_STRING, NULL, "s3://BUCKET[/PREFIX] or file:///FOLDER",
              "where releases and targets are kept; without it musterd waits"),
        AGENT(group, CONFIG_STRING, "auto-scaling-group", "a name, tag:KEY or auto-scaling-group",
              "the deployment group: a name, the value of an instance tag, or the name of the Auto Scaling group"),
        AGENT(state_dir, CONFIG_FILE, "/var/lib/muster", A_PATH,
              "where releases and the deploy record are kept"),
        AGENT(trust_root, CONFIG_FILE, "/etc/muster/root.json", A_PATH,
              "the trust root: whose signatures count"),
        AGENT(instance_id, CONFIG_NAME, NULL, "a name of letters, digits, '.', '_' and '-'",
              "the instance's name; from the instance metadata, else the machine id, where it is not given"),
        AGENT(role_id, CONFIG_NAME, NULL, "the unique id of a role, such as AROA123456789EXAMPLE",
              "the role of the instances, where STS is out of their reach: their reports are named by it"),
        AGENT(unit_dir, CONFIG_FILE, "/etc/systemd/system", A_PATH,
              "where unit files of releases are installed"),
        AGENT(poll_interval, CONFIG_DURATION, "30s", A_DURATION,
              "time between two looks at the depot, less a jitter"),
        AGENT(report_interval, CONFIG_DURATION, "5m", A_DURATION,
              "time between two instance reports without news"),
        AGENT(settle_time, CONFIG_DURATION, "2s", A_DURATION,
              "how long a unit is watched after its job before it counts as running"),
        AGENT(keep_releases, CONFIG_NUMBER, "5", "a number, at least 1",
              "how many releases of each app stay on the disk"),
        AMOUNT(keep_bytes, CONFIG_SIZE, unlimited_word, "unlimited", "a size such as 10G, or unlimited",
               "how much disk the releases of each app may take together"),
        AMOUNT(reserve_bytes, CONFIG_SIZE, auto_word, "auto", "a size such as 500M, or auto",
               "how much space a deployment leaves free; auto: 5 % of the file system, at most 256M"),
        AMOUNT(reserve_inodes, CONFIG_NUMBER, auto_word, "auto", "a number, or auto",
               "how many inodes a deployment leaves free; auto: 5 % of the file system's, at most 10,000"),
        AGENT(queue, CONFIG_STRING, NULL, "own, or the name or the URL of an SQS queue",
              "messages in it say when to look at the depot; own: musterd makes one for this instance"),
        AGENT(queue_topic, CONFIG_STRING, NULL, "the ARN of an SNS topic",
              "what a queue of the instance's own is subscribed to"),
        AGENT(queue_shared, CONFIG_BOOLEAN, "yes", A_BOOLEAN,
              "whether others look at the queue too; no: the depot is polled less often while the queue works"),
        TRAFFIC(target_groups, CONFIG_STRING, NULL, "names or ARNs of target groups",
                "the target groups of this instance; where it is not given, those of its Auto Scaling group"),
        TRAFFIC(drain_timeout, CONFIG_DURATION, "10m", A_DURATION,
                "how long requests that are under way may take to end when the instance leaves its target groups"),
        TRAFFIC(healthy_timeout, CONFIG_DURATION, "5m", A_DURATION,
                "how long the load balancer may take to find the instance healthy again"),
        AWS(region, CONFIG_NAME, NULL, "a region such as eu-central-1",
            "from AWS_REGION, AWS_DEFAULT_REGION or the instance metadata where it is not given"),
        AWS(endpoint_url, CONFIG_URL, NULL, A_URL, "endpoint of every service that has none of its own here"),
        AWS(s3_endpoint_url, CONFIG_URL, NULL, A_URL, "endpoint of S3"),
        AWS(autoscaling_endpoint_url, CONFIG_URL, NULL, A_URL, "endpoint of Auto Scaling"),
        AWS(sts_endpoint_url, CONFIG_URL, NULL, A_URL, "endpoint of STS"),
        AWS(sqs_endpoint_url, CONFIG_URL, NULL, A_URL, "endpoint of SQS"),
        AWS(elb_endpoint_url, CONFIG_URL, NULL, A_URL, "endpoint of Elastic Load Balancing"),
        AWS(sns_endpoint_url, CONFIG_URL, NULL, A_URL, "endpoint of SNS"),
        AWS(cloudwatch_endpoint_url, CONFIG_URL, NULL, A_URL, "endpoint of CloudWatch"),
        AWS(ca_bundle, CONFIG_FILE, NULL, A_PATH, "certificates to trust in place of the system's"),
        AWS_CHOICE(s3_addressing, addressing_choices, "auto, path or virtual",
                   "auto: the bucket in the host name, but path style with an endpoint of your own"),
        AWS_CHOICE(use_fips, endpoint_choices, "auto, yes or no",
                   "endpoints with FIPS 140; auto: as AWS_USE_FIPS_ENDPOINT or the profile says"),
        AWS_CHOICE(
                use_dualstack, endpoint_choices, "auto, yes or no",
                "endpoints with IPv6; auto: as AWS_USE_DUALSTACK_ENDPOINT or the profile says, and where only IPv6 "
                "leads out"),
        { "aws", "s3_sse", "default", "default, AES256, aws:kms or aws:kms:dsse",
          "how what is written is encrypted, where the bucket's policy demands that it be said",
          CONFIG_CHOICE, offsetof(Config, s3_encryption), encryption_choices },
        { "aws", "s3_sse_kms_key_id", NULL, "a key's id, alias or ARN",
          "with aws:kms, where it is not the bucket's", CONFIG_STRING, offsetof(Config, s3_kms_key_id),
          NULL },
        AWS(s3_requester_pays, CONFIG_BOOLEAN, "no", A_BOOLEAN,
            "whether requests are paid for, as some buckets want"),
        AWS(s3_bucket_owner, CONFIG_STRING, NULL, "an account's twelve digits",
            "the account that the bucket must belong to"),
        { "launch", "hook", "auto", "auto, none or the name of a launch lifecycle hook",
          "the hook that holds a new instance until its required apps are healthy; auto: those named muster or muster-…",
          CONFIG_STRING, offsetof(Config, launch_hook), NULL },
        { "launch", "auto_scaling_group", NULL, "the name of an Auto Scaling group",
          "from the tag aws:autoscaling:groupName or Auto Scaling where it is not given", CONFIG_STRING,
          offsetof(Config, launch_group), NULL },
        { "launch", "heartbeat_interval", "0", A_DURATION,
          "time between two heartbeats while a deployment runs; 0: a third of the hook's time-out",
          CONFIG_DURATION, offsetof(Config, heartbeat_interval), NULL },
        { "launch", "on_failure", "abandon", "abandon, continue or wait",
          "what the group is told when the first deployment of a required app fails for good", CONFIG_CHOICE,
          offsetof(Config, launch_failure), failure_choices },
        { "launch", "abandon_limit", "3", "a number, or unlimited",
          "how many instances are given up for one release within abandon_window; those that come after them are held",
          CONFIG_NUMBER, offsetof(Config, abandon_limit), unlimited_word },
        { "launch", "abandon_window", "1h", A_DURATION, "see abandon_limit", CONFIG_DURATION,
          offsetof(Config, abandon_window), NULL },
        { "launch", "report_output", "yes", A_BOOLEAN,
          "whether an instance that is given up leaves its journal and what hooks printed in the depot",
          CONFIG_BOOLEAN, offsetof(Config, report_output), NULL },
        { "leave", "hook", "auto", "the name of a termination lifecycle hook, auto or none",
          "the hook that holds an instance until it is drained; auto: those named muster or muster-…",
          CONFIG_STRING, offsetof(Config, leave_hook), NULL },
        { "leave", "metadata_interval", "10s", A_DURATION,
          "time between two looks at the instance metadata for the lifecycle state and spot interruptions",
          CONFIG_DURATION, offsetof(Config, metadata_interval), NULL },
        { "leave", "rebalance", "ignore", "ignore or drain",
          "whether the instance is drained when EC2 recommends to replace it", CONFIG_CHOICE,
          offsetof(Config, on_rebalance), warning_choices },
        { "leave", "maintenance", "drain", "ignore or drain",
          "whether the instance is drained before a scheduled event of EC2 stops or reboots it",
          CONFIG_CHOICE, offsetof(Config, on_maintenance), warning_choices },
        { "leave", "maintenance_ahead", "5m", A_DURATION, "how long before such an event that begins",
          CONFIG_DURATION, offsetof(Config, maintenance_ahead), NULL },
        { "notify", "webhook", NULL, "a URL such as https://hooks.example.com/services/…",
          "what becomes of rollouts is posted there, as a text for a chat room; the URL is a secret",
          CONFIG_SECRET_URL, offsetof(Config, notify_webhook), NULL },
        { "notify", "topic", NULL, "the ARN of an SNS topic", "what becomes of rollouts is published there",
          CONFIG_STRING, offsetof(Config, notify_topic), NULL },
        { "app", "required", "yes", A_BOOLEAN,
          "whether the instance enters service only with this app healthy", CONFIG_BOOLEAN,
          offsetof(AppConfig, required), NULL },
        { "app", "group", NULL, "a name",
          "the deployment group of this app, where it differs from the agent's", CONFIG_NAME,
          offsetof(AppConfig, group), NULL },
        { "app", "health_interval", "0", A_DURATION,
          "time between two rounds of the release's health checks while it serves; 0: only a deployment checks",
          CONFIG_DURATION, offsetof(AppConfig, health_interval), NULL },
        { "app", "health_failures", "3", "a number, at least 1",
          "how many rounds in a row must fail before the app's units are restarted", CONFIG_NUMBER,
          offsetof(AppConfig, health_failures), NULL },
        { "app", "health_restarts", "3", "a number up to 32",
          "how often the units are restarted within an hour before the app counts as unhealthy",
          CONFIG_NUMBER, offsetof(AppConfig, health_restarts), NULL },
        { "app", "on_unhealthy", "report", "report or replace",
          "replace: the Auto Scaling group is told that the instance is unhealthy", CONFIG_CHOICE,
          offsetof(AppConfig, on_unhealthy), unhealthy_choices },
        { "app", "healthy_percent", "75", "a number up to 100",
          "so many percent of the group's desired instances must be healthy without this one before it is told",
          CONFIG_NUMBER, offsetof(AppConfig, healthy_percent), NULL },
};

static bool is_string(ConfigType type) {
        return type == CONFIG_STRING || type == CONFIG_FILE || type == CONFIG_URL ||
               type == CONFIG_SECRET_URL || type == CONFIG_NAME;
}

static bool string_is_valid(ConfigType type, const char *value) {
        switch (type) {
        case CONFIG_FILE:
                return value[0] == '/';
        case CONFIG_URL:
        case CONFIG_SECRET_URL:
                return string_starts_with(value, "https://") || string_starts_with(value, "http://");
        case CONFIG_NAME:
                return name_is_valid(value);
        default:
                return true;
        }
}

/* Numbers and sizes. */
static int parse_amount(const ConfigKey *key, const char *value, uint64_t *ret) {
        if (key->choices && strcmp(value, key->choices[0]) == 0) {
                *ret = UINT64_MAX;
                return 0;
        }
        return key->type == CONFIG_SIZE ? parse_size(value, ret) : parse_u64(value, ret);
}

static int find_choice(const char *const *choices, const char *value) {
        for (int i = 0; choices[i]; i++)
                if (strcmp(choices[i], value) == 0)
                        return i;
        return -EINVAL;
}

int config_key_set(const ConfigKey *key, void *object, const char *value) {
        void *field = (char *) object + key->offset;
        int r;

        if (is_string(key->type)) {
                if (*value && !string_is_valid(key->type, value))
                        return -EINVAL;
                return string_set(field, *value ? value : NULL);
        }
        switch (key->type) {
        case CONFIG_DURATION:
                return parse_duration(value, field);
        case CONFIG_BOOLEAN:
                return parse_boolean(value, field);
        case CONFIG_NUMBER:
        case CONFIG_SIZE:
                return parse_amount(key, value, field);
        default:
                r = find_choice(key->choices, value);
                if (r >= 0)
                        *(int *) field = r;
                return r < 0 ? r : 0;
        }
}

int config_keys_set_defaults(void *object, bool app) {
        for (size_t i = 0; i < ELEMENTSOF(keys); i++) {
                int r;

                if ((strcmp(keys[i].section, "app") == 0) != app || !keys[i].default_text)
                        continue;
                r = config_key_set(&keys[i], object, keys[i].default_text);
                if (r < 0)
                        return r;
        }
        return 0;
}

void config_keys_free_strings(void *object, bool app) {
        for (size_t i = 0; i < ELEMENTSOF(keys); i++)
                if ((strcmp(keys[i].section, "app") == 0) == app && is_string(keys[i].type))
                        free(*(char **) ((char *) object + keys[i].offset));
}

bool config_section_exists(const char *section) {
        for (size_t i = 0; i < ELEMENTSOF(keys); i++)
                if (strcmp(keys[i].section, section) == 0)
                        return true;
        return false;
}

const ConfigKey *config_key_find(const char *section, const char *name) {
        for (size_t i = 0; i < ELEMENTSOF(keys); i++)
                if (strcmp(keys[i].section, section) == 0 && strcmp(keys[i].name, name) == 0)
                        return &keys[i];
        return NULL;
}
