#pragma once

/* A target: what a group should run (DESIGN.md, "Documents"). The payload of a DSSE envelope of TARGET_TYPE, signed by the
 * role target, kept as apps/<app>/groups/<group>/target.json and replaced with If-Match. Times and durations are
 * microseconds; texts that are not there are NULL. */

#include "artifacts/document.h"
#include "artifacts/release.h"
#include "artifacts/trust_root.h"

#define TARGET_TYPE "application/vnd.muster.target.v1+json"
#define TARGET_PAYLOAD_SIZE_MAX (256U * 1024)
#define TARGET_SERIAL_MAX (UINT64_C(1) << 53) /* what every JSON reader can hold */
#define TARGET_STAGES_MAX 32U
#define TARGET_FREEZES_MAX 64U
#define TARGET_COUNT_MAX UINT64_C(1000000)
#define TARGET_BAKE_MAX (UINT64_C(30) * 86400 * 1000000)
#define TARGET_CANARIES_MAX 64U
#define TARGET_ALARMS_MAX 16U
#define TARGET_ALARM_NAME_MAX 255U /* "PutMetricAlarm" in the Amazon CloudWatch API Reference */

/* A change without a rollout has a register of this name and its serial, so no rollout may be called so. */
#define TARGET_SERIAL_PREFIX "serial-"
#define TARGET_PROGRESS_DEADLINE_MIN (UINT64_C(30) * 1000000)
#define TARGET_PROGRESS_DEADLINE_MAX (UINT64_C(7) * 86400 * 1000000)
#define TARGET_PROGRESS_DEADLINE_DEFAULT (UINT64_C(15) * 60 * 1000000)

/* A number of instances, or a share of the fleet; the other one is 0. */
typedef struct TargetShare {
        uint64_t count;
        uint64_t percent; /* 1 to 100 */
} TargetShare;

typedef struct TargetRelease {
        char *version; /* NULL: there is none */
        char sha256[DIGEST_HEX_SIZE];
} TargetRelease;

typedef struct TargetStage {
        TargetShare share;
        uint64_t bake;
} TargetStage;

typedef enum TargetPromote {
        TARGET_PROMOTE_AUTO, /* the default */
        TARGET_PROMOTE_MANUAL,
} TargetPromote;

typedef struct TargetRollout {
        char *id; /* NULL: there is none */
        uint64_t not_before;
        SCHEMA_LIST(TargetStage) stages; /* growing, the last one is 100 percent */
        uint64_t max_failures;           /* 0 */
        TargetPromote promote;
        uint64_t min_healthy_time;  /* an instance counts once it has been healthy for so long; 0 */
        uint64_t progress_deadline; /* of the change of one instance; 0: TARGET_PROGRESS_DEADLINE_DEFAULT */
        SCHEMA_LIST(char *)
        canaries;                   /* instances that go first, as they name themselves or by their EC2 id */
        SCHEMA_LIST(char *) alarms; /* of CloudWatch, by name, that are to be quiet */
} TargetRollout;

typedef struct TargetFreeze {
        uint64_t from, until;
        char *reason;
} TargetFreeze;

typedef struct Target {
        char *app;
        char *group;
        uint64_t serial;
        uint64_t issued;
        char *min_agent;
        uint64_t release_floor; /* releases created before this time do not run; 0: there is no floor */
        TargetRelease stable;
        TargetRelease candidate; /* with a rollout, or not at all */
        TargetRelease previous;  /* what was stable before: where a rollback goes; perhaps none */
        TargetRollout rollout;
        TargetShare max_parallel; /* both 0: not limited */
        bool urgent;
        bool pinned;
        char *reason;            /* of the pin */
        DocumentEnvironment env; /* over the release's; sorted by name */
        SCHEMA_LIST(TargetFreeze) freeze;
        char sha256[DIGEST_HEX_SIZE]; /* of the payload it was parsed from; "" for one that was made here */
} Target;

Target *target_free(Target *target);
DEFINE_CLEANUP(Target *, target_free)
#define _cleanup_target_ _cleanup_(target_freep)

/* Parses a payload that has been verified. -EBADMSG, -EPROTONOSUPPORT. */
int target_parse(const void *payload, size_t size, Target **ret, Error *error);

/* Verifies, parses and compares app and group with the instance's own: from the depot's bytes to a Target. As
 * trust_root_verify_document() and target_parse(); -EBADMSG too for another app's or group's target. */
int target_open(const TrustRoot *root, const void *envelope, size_t size, uint64_t now, const char *app,
                const char *group, Target **ret, Error *error);

/* The canonical payload, to be signed. New memory. -EBADMSG if it breaks a rule that target_parse() has. */
int target_to_json(const Target *target, char **ret, size_t *ret_size, Error *error);

/* Whether NEW may take OLD's place: the serial never goes down (-ESTALE), the same serial means the same content
 * (-EEXIST), and the floor never goes down (-ESTALE). 0 also where nothing changed. */
int target_check_successor(const Target *old, const Target *new, Error *error);

/* Whether the release is not below the floor. -ESTALE. */
int target_check_release(const Target *target, const Release *release, Error *error);

/* A whole number of instances out of FLEET: a count as it is, a percentage rounded down but at least 1; FLEET if it
 * is not limited; never more than FLEET. */
uint64_t target_share_of(const TargetShare *share, uint64_t fleet);

/* The freeze that holds at NOW, or NULL. */
const TargetFreeze *target_find_freeze(const Target *target, uint64_t now);
