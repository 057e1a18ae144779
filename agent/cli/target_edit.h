#pragma once

/* The next target of a group, made from the one that is there. Pure: payload in, payload out. What is not edited stays as
 * it is, members that this version does not know included. */

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "artifacts/target.h"

typedef enum TargetEditKind {
        TARGET_EDIT_STABLE,    /* the release is the stable one from now on; a candidate and its rollout go */
        TARGET_EDIT_CANDIDATE, /* the release is the candidate, with its rollout; what is stable stays */
        TARGET_EDIT_VALUES, /* no release is named: what the group runs stays, a pin or a rollout included */
} TargetEditKind;

/* A stable release that is replaced is the previous one from then on. A target that is not pinned any more has none: what
 * a pin took the group away from is no release to go back to. */
typedef struct TargetEdit {
        TargetEditKind kind;
        const char *app;
        const char *group;
        uint64_t serial;
        uint64_t issued;
        const char *version;
        const char *release_sha256;
        json_t *rollout; /* of a candidate; borrowed */
        bool pinned;     /* with a reason, which goes with the pin */
        bool urgent;     /* of this change; the next one says it again */
        const char *reason;
        TargetShare max_parallel; /* both 0: stays */
        json_t *freeze;           /* all of them from now on; borrowed; NULL: stays */
        char *const *set;         /* "NAME=value", or NULL */
        char *const *unset;       /* names, or NULL */
} TargetEdit;

/* OLD is NULL for a group's first target. RET gets the canonical payload, which target_parse() has accepted. -EINVAL
 * for a variable that is none, -EBADMSG for what would be no target. */
int target_edit(const TargetEdit *edit, const void *old, size_t old_size, char **ret, size_t *ret_size,
                Error *error);

/* Whether two payloads say the same but for serial and time. */
bool target_says_the_same(const void *a, size_t a_size, const void *b, size_t b_size);
