#pragma once

/* The deploy record: everything the agent must not forget about one app, in <state_dir>/apps/<app>/record.json. Only
 * musterd writes it, by temporary file, fsync, rename and fsync of the folder, before and after every step of a
 * deployment; so after a crash it holds the state before or after that step, never a mixture. A finished deployment is
 * also kept in the history (record_history.h). */

#include "agent/base/buffer.h"
#include "agent/deployment.h"
#include "agent/local_pin.h"

#define RECORD_SCHEMA 1U
#define RECORD_SIZE_MAX (1024U * 1024U)
#define RECORD_FAILURES_MAX 16U

/* A release that failed here, by its digest and the serial of the target that asked for it. */
typedef struct Failure {
        ReleaseRef release;
        uint64_t serial;
        Step step;
        ErrorFault fault;
        unsigned count; /* how often in a row */
        uint64_t at;
        char *reason;
} Failure;

typedef struct Record {
        char *app;
        char *instance; /* the instance that wrote it; another one's record is not acted on */

        uint64_t serial; /* the highest target that was accepted; nothing lower is ever */
        char target_sha256[DIGEST_HEX_SIZE];

        ReleaseRef good; /* the release that passed its checks and serves, none before the first commit */
        char good_env_sha256[DIGEST_HEX_SIZE];
        uint64_t good_since;
        uint64_t good_serial; /* of the target in force when it was committed */
        bool good_is_local;   /* it came by `muster deploy --local`; a target above good_serial replaces it */
        ReleaseRef previous;

        LocalPin pin; /* root holds this instance at a release; its failures have the serial 0 */

        Failure failures[RECORD_FAILURES_MAX]; /* oldest first */
        size_t n_failures;

        Deployment deployment; /* the one that runs, or the last one */
} Record;

void record_deinit(Record *record);

/* The text of the file, new memory. -ENOMEM. */
int record_to_text(const Record *record, char **ret);

/* Reads the text. -EINVAL for what is no record, -EPROTONOSUPPORT for a newer schema. */
int record_parse(const char *text, size_t size, Record *ret, Error *error);

/* Reads `record.json` of the folder; a missing file is an empty record. */
int record_load(int app_fd, Record *ret, Error *error);
int record_save(int app_fd, const Record *record, Error *error);

/* Notes or counts up a failure. -ENOMEM. */
int record_add_failure(Record *record, const Deployment *deployment);
const Failure *record_find_failure(const Record *record, const char *sha256, uint64_t serial);

/* Whatever failed before may be tried again. */
void record_forget_failure(Record *record, const char *sha256, uint64_t serial);

/* Takes what a deployment that succeeded changes: good, previous, failures of that release. -ENOMEM. */
int record_commit(Record *record, uint64_t at);
