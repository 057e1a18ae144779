#pragma once

/* The next target of a group, made from the one that is there. Pure: payload in, payload out. What is not edited stays as
 * it is, members that this version does not know included. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/base/error.h"

/* A stable release that is replaced is the previous one from then on. A target that is not pinned any more has none: what
 * a pin took the group away from is no release to go back to. */
typedef struct TargetEdit {
        const char *app;
        const char *group;
        uint64_t serial;
        uint64_t issued;
        const char *version; /* the stable release from now on; a candidate and its rollout go */
        const char *release_sha256;
        bool pinned; /* and then urgent, with a reason; both go with the pin */
        bool urgent;
        const char *reason;
        char *const *set;   /* "NAME=value", or NULL */
        char *const *unset; /* names, or NULL */
} TargetEdit;

/* OLD is NULL for a group's first target. RET gets the canonical payload, which target_parse() has accepted. -EINVAL
 * for a variable that is none, -EBADMSG for what would be no target. */
int target_edit(const TargetEdit *edit, const void *old, size_t old_size, char **ret, size_t *ret_size,
                Error *error);

/* Whether two payloads say the same but for serial and time. */
bool target_says_the_same(const void *a, size_t a_size, const void *b, size_t b_size);
