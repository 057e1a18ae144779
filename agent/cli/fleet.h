#pragma once

/* A group as its instances report it (agent/report.h): who runs what, since when, and how it does. Pure: reports in, values
 * out. Anybody who may write a report may write anything there, so all texts are made fit for a terminal, and a report that
 * cannot be read is shown as that. */

#include <jansson.h>
#include <stdbool.h>

#include "agent/base/clock.h"
#include "agent/base/error.h"

#define FLEET_REPORT_SIZE_MAX (256U * 1024)

/* An instance that has not reported for so many of its intervals is silent, and, after so long, gone. */
#define FLEET_INTERVALS 3U
#define FLEET_INTERVAL_DEFAULT (UINT64_C(300) * USEC_PER_SEC) /* where the report does not say it */
#define FLEET_INTERVAL_MAX (UINT64_C(86400) * USEC_PER_SEC)
#define FLEET_GONE_AFTER (UINT64_C(86400) * USEC_PER_SEC)

/* In the order in which they are listed. */
typedef enum FleetCondition {
        FLEET_UNHEALTHY, /* what should serve does not, or fails its checks; or the report cannot be read */
        FLEET_SILENT,    /* not heard of for FLEET_INTERVALS */
        FLEET_CHANGING,  /* in a deployment, a rollback, or the checks after a restart */
        FLEET_IDLE,      /* nothing is to serve there: it is warming or leaving, or has no release yet */
        FLEET_HEALTHY,
        FLEET_GONE, /* silent for FLEET_GONE_AFTER, or silent and its last word was that it leaves */
        FLEET_CONDITIONS,
} FleetCondition;

typedef struct FleetInstance {
        char *name;     /* under which it reports: on AWS its aws:userid */
        char *instance; /* what it is called: its EC2 id; else the name */
        char *etag;     /* of the report */
        /* when it reported last, by the depot's clock; microseconds since 1970, as all times */
        uint64_t contact;
        uint64_t interval; /* between two of its reports */

        char *version; /* of the release that serves; NULL: none */
        char *release_sha256;
        char *state; /* musterd(8), GetStatus */
        char *reason;
        uint64_t since; /* when that release was deployed; 0: not known */
        char *health;   /* of the health watch: "healthy", "failing" and so on; NULL: nothing is watched */
        char *life;     /* "in-service", "standby" and so on; NULL: not known */
        char *launch;   /* "waiting", "holding" and so on; NULL: not known */
        char *agent_version;
        char *pin;            /* what it is pinned to, by root on the instance; NULL: it is not */
        char *group_pin;      /* the same of its group, as it has heard */
        char *way_back;       /* the version to which it can go back from its own disk; NULL: it cannot */
        uint64_t drift;       /* how many files of what serves are not as they were published */
        json_t *last_failure; /* object or NULL */
        json_t *rollout;      /* its part in the rollout of its group, an object; or NULL */
        char *problem;        /* why the report cannot be read; then nothing but the first five is known */
        FleetCondition condition;
} FleetInstance;

/* Reads a report. CONTACT is when it was written, by the depot's clock; the condition is fleet_judge()'s. -ENOMEM. */
int fleet_instance_read(const char *name, uint64_t contact, const void *data, size_t size,
                        FleetInstance *ret);
void fleet_instance_deinit(FleetInstance *instance);

typedef struct Fleet {
        FleetInstance *items;
        size_t n;
        uint64_t now; /* the depot's clock as the reports were listed */
} Fleet;

void fleet_deinit(Fleet *fleet);

/* Finds out each one's condition at the fleet's time, and sorts: by condition, version (the newest first) and name. */
void fleet_judge(Fleet *fleet);

const char *fleet_condition_to_string(FleetCondition condition);

/* Whether it counts as one that serves VERSION (NULL: any) well. */
bool fleet_instance_serves(const FleetInstance *instance, const char *version);

/* The part in the rollout of the group of the instance that was heard of last of those that are in one; NULL: there
 * is none. What is not staged, a pin with max_parallel say, is no rollout. */
const json_t *fleet_rollout(const Fleet *fleet);

/* How many there are of a condition, and those that were heard of, all but silent and gone ones. */
size_t fleet_count(const Fleet *fleet, FleetCondition condition);
size_t fleet_count_present(const Fleet *fleet);

/* How many of those that were heard of run which version; the one that most run first. VERSION is NULL for those that run
 * none. New memory. -ENOMEM. */
typedef struct FleetVersion {
        const char *version; /* belongs to the fleet */
        size_t n;
        size_t n_healthy;
} FleetVersion;
int fleet_versions(const Fleet *fleet, FleetVersion **ret, size_t *ret_n);

/* For programs; new references, NULL: out of memory. */
json_t *fleet_instance_to_json(const FleetInstance *instance);
json_t *fleet_summary_to_json(const Fleet *fleet);
