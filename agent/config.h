#pragma once

/* /etc/muster/muster.conf and the .conf files of muster.conf.d: INI, read through inih. Every key stands in the table of
 * config_keys.c with its type, default and help; an unknown section or key, a value of the wrong type and a key given twice in one file are
 * errors that name file and line. Files of muster.conf.d are read after muster.conf in the order of their names, and
 * what they set wins.
 *
 * A configuration without a depot is "unconfigured", which is no error: musterd then waits for one to be written. */

#include <stdbool.h>
#include <stddef.h>

#include "agent/base/error.h"
#include "agent/net/endpoint.h"
#include "agent/net/s3_bucket.h"

#define CONFIG_PATH "/etc/muster/muster.conf"
#define CONFIG_FILE_SIZE_MAX (256U * 1024U)
#define CONFIG_LINE_MAX 180U /* inih cuts longer lines into two without a word */
#define CONFIG_APPS_MAX 64U
#define CONFIG_DROP_INS_MAX 64U
#define CONFIG_QUEUE_OWN "own" /* the instance makes its own */

typedef enum LaunchFailure {
        LAUNCH_FAILURE_ABANDON,  /* tell the group to replace the instance */
        LAUNCH_FAILURE_CONTINUE, /* let it enter service all the same */
        LAUNCH_FAILURE_WAIT,     /* say nothing: the hook's own time-out decides */
} LaunchFailure;

/* What a warning that the instance may be taken away does. */
typedef enum WarningAction {
        WARNING_IGNORE,
        WARNING_DRAIN,
} WarningAction;

typedef enum OnUnhealthy {
        ON_UNHEALTHY_REPORT,
        ON_UNHEALTHY_REPLACE, /* tell the Auto Scaling group */
} OnUnhealthy;

typedef struct AppConfig {
        char *name;
        bool required;            /* the instance enters service only with this app healthy */
        char *group;              /* NULL: the agent's */
        uint64_t health_interval; /* between two rounds of health checks; 0: none after the deployment */
        uint64_t health_failures; /* rounds in a row */
        uint64_t health_restarts; /* in an hour */
        int on_unhealthy;         /* OnUnhealthy */
        uint64_t healthy_percent; /* of the group's desired instances that must stay */
} AppConfig;

typedef struct Config {
        char *depot; /* NULL: unconfigured */
        char *group; /* a name, "tag:KEY" or "auto-scaling-group" */
        char *state_dir;
        char *trust_root;
        char *instance_id; /* NULL: asked of the instance metadata, else the machine id */
        char *role_id;     /* the unique id of the instance's role; NULL: STS is asked who the caller is */
        char *unit_dir;
        uint64_t poll_interval; /* microseconds, as all durations */
        uint64_t report_interval;
        uint64_t settle_time;
        uint64_t keep_releases; /* of each app, */
        uint64_t keep_bytes;    /* UINT64_MAX: no limit */
        uint64_t reserve_bytes; /* UINT64_MAX: a part of the file system */
        uint64_t reserve_inodes;
        char *queue; /* CONFIG_QUEUE_OWN, a name or a URL; NULL: none */
        bool queue_shared;
        char *notify_webhook; /* a URL, which is a secret; NULL: none is told */
        char *notify_topic;   /* of SNS, as an ARN; likewise */
        char *queue_topic;    /* of SNS, as an ARN: what an own queue is subscribed to */

        char *target_groups; /* names or ARNs with spaces between them; NULL: those of the Auto Scaling group */
        uint64_t drain_timeout; /* how long connections have to end */
        uint64_t healthy_timeout;

        char *region;
        char *endpoint_url;
        char *s3_endpoint_url;
        char *autoscaling_endpoint_url;
        char *sts_endpoint_url;
        char *sqs_endpoint_url;
        char *elb_endpoint_url;
        char *sns_endpoint_url;
        char *cloudwatch_endpoint_url;
        char *ca_bundle;
        int s3_addressing; /* S3Addressing */
        int s3_encryption; /* S3Encryption */
        char *s3_kms_key_id;
        bool s3_requester_pays;
        char *s3_bucket_owner;
        int use_fips;      /* EndpointChoice, */
        int use_dualstack; /* as well */

        char *launch_hook;  /* a name, "auto" or "none" (lifecycle_hooks.h) */
        char *launch_group; /* the Auto Scaling group's name; NULL: from the instance's tags */
        uint64_t heartbeat_interval;
        int launch_failure;     /* LaunchFailure */
        uint64_t abandon_limit; /* UINT64_MAX: none */
        uint64_t abandon_window;
        bool report_output;

        char *leave_hook;
        uint64_t metadata_interval;
        int on_rebalance; /* WarningAction */
        int on_maintenance;
        uint64_t maintenance_ahead;

        AppConfig apps[CONFIG_APPS_MAX]; /* they stay where they are when more are added */
        size_t n_apps;
} Config;

/* Defaults only. -ENOMEM. */
int config_new(Config **ret);
Config *config_free(Config *config);
DEFINE_CLEANUP(Config *, config_free)

/* Reads the text of one file into CONFIG. FILE is for messages. -EINVAL with the fault FAULT_INPUT. */
int config_parse(Config *config, const char *file, const char *text, Error *error);

/* Belong to the configuration. */
S3BucketTerms config_bucket_terms(const Config *config);

/* Reads PATH (which may be missing) and the .conf files of PATH.d, and checks the whole. */
int config_load(const char *path, Config **ret, Error *error);

/* Of the same files, which may be broken: state_dir and unit_dir as far as they can be made out, and otherwise
 * defaults. For who must find the state before somebody has mended them. -ENOMEM. */
int config_load_places(const char *path, Config **ret);

bool config_is_configured(const Config *config);
bool config_has_own_queue(const Config *config);
AppConfig *config_find_app(Config *config, const char *name); /* NULL: there is none */

/* The app of that name, a new one with the defaults where there is none. -E2BIG. */
int config_add_app(Config *config, const char *name, AppConfig **ret, Error *error);
