#pragma once

/* The deploy record: everything the agent must not forget about one app, in <state_dir>/apps/<app>/record.json. Only
 * musterd writes it, by temporary file, fsync, rename and fsync of the folder, before and after every step of a
 * deployment; so after a crash it holds the state before or after that step, never a mixture. A finished deployment is
 * also kept in the history (record_history.h). */

#include <jansson.h>

#include "agent/base/buffer.h"
#include "agent/deployment.h"
#include "agent/local_pin.h"
#include "agent/rollout_record.h"
#include "agent/target_registration.h"

#define RECORD_SCHEMA 4U /* 1 to 3 are read, too */
/* Twice what a record can come to: three times the largest target's environment (with which the good release runs, with
 * which the deployment was begun, and on which that was decided), and the steps and events of a deployment, each with all
 * its text, and all of that in need of escapes. */
#define RECORD_SIZE_MAX (4U * 1024U * 1024U)
#define RECORD_FAILURES_MAX 16U

/* A release that failed here, by its digest and what asked for it: the rollout, or for a target that has none its serial.
 * So another environment value or freeze, which keeps the rollout, does not have it tried again, and a pin does. */
typedef struct Failure {
        ReleaseRef release;
        uint64_t serial;
        char *rollout; /* or NULL */
        Step step;
        ErrorFault fault;
        unsigned count;      /* how often in a row */
        unsigned disturbing; /* and how often of these something was changed already */
        bool interrupted;    /* the last time it was but the agent that ended */
        uint64_t at;
        char *reason;
} Failure;

struct Record {
        char *app;
        char *instance; /* the instance that wrote it; another one's record is not acted on */
        char *machine;  /* likewise, its fingerprint (machine.h) */

        char *group;     /* whose target was accepted last; NULL: the record does not say */
        uint64_t serial; /* that of this group's highest target that was accepted; nothing lower is ever */
        char target_sha256[DIGEST_HEX_SIZE];

        ReleaseRef good; /* the release that passed its checks and serves, none before the first commit */
        char **good_environment; /* the group's values that it runs with, "NAME=value", sorted */
        char good_env_sha256[DIGEST_HEX_SIZE];
        char *good_boot_id; /* of the boot in which it last passed its checks */
        uint64_t good_since;
        uint64_t good_serial; /* of the target in force when it was committed */
        bool good_is_down;    /* the way back to it has failed, and nothing has brought it up since */
        bool good_is_stopped; /* it was drained: what of it ran was stopped on purpose, and is not started at boot */
        bool good_is_local; /* it came by `muster deploy --local`; a target above good_serial replaces it */
        ReleaseRef previous;
        ReleaseRef prefetched; /* the last one that was brought into the store for later */

        /* What the instance was taken out of for a deployment and is not known to be back in: written before it is
         * taken out. */
        TargetRegistrations deregistered;

        RolloutRecord rollout; /* of the group's rollout */

        LocalPin pin; /* root holds this instance at a release; its failures have the serial 0 */

        Failure failures[RECORD_FAILURES_MAX]; /* oldest first */
        size_t n_failures;

        Deployment deployment; /* the one that runs, or the last one */
};

void record_deinit(Record *record);

/* As JSON; without the deployment it is what decisions depend on. -ENOMEM. */
int record_to_json(const Record *record, bool with_deployment, json_t **ret);

/* -EINVAL for what is no record, -EPROTONOSUPPORT for a newer schema. */
int record_from_json(json_t *json, Record *ret, Error *error);

/* The text of the file, new memory. -ENOMEM. */
int record_to_text(const Record *record, char **ret);

/* Reads the text. As record_from_json(). */
int record_parse(const char *text, size_t size, Record *ret, Error *error);

/* Reads `record.json` of the folder: 1, or 0 and an empty record where there is none. */
#define RECORD_FILE "record.json"
int record_load(int app_fd, Record *ret, Error *error);
int record_save(int app_fd, const Record *record, Error *error);

const Failure *record_find_failure(const Record *record, const char *sha256, uint64_t serial,
                                   const char *rollout);

/* Notes that RELEASE failed in STEP by its own fault, outside a deployment. -ENOMEM. */
int record_note_failure(Record *record, const ReleaseRef *release, Step step, uint64_t serial,
                        const char *rollout, const char *reason, uint64_t at);

/* Whatever failed before may be tried again. */
void record_forget_failure(Record *record, const char *sha256, uint64_t serial, const char *rollout);

/* Whether the good release, if there is one, is up as far as the record knows. */
bool record_good_is_up(const Record *record);

/* Whether it is the release that was good before the good one: to deploy it is to go back. */
bool record_is_way_back(const Record *record, const char *sha256);

/* Takes in that the deployment has ended: what was deployed is the good release, what was rolled back serves again, what was
 * drained is stopped, and a failure is noted unless the deployment was cancelled. -ENOMEM, with some of it done. */
int record_end(Record *record, const char *boot_id);
