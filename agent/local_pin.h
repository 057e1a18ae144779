#pragma once

/* `muster pin --local`: root holds this instance at a release, whatever the group's target says, until it is unpinned.
 * It is part of the deploy record, so that it survives restarts, and nothing of it is another instance's business. */

#include <jansson.h>

#include "agent/deployment.h"

#define LOCAL_PIN_REASON_MAX 1024U

typedef struct LocalPin {
        ReleaseRef release; /* version NULL: nothing is pinned */
        char *reason;
        uint64_t since; /* microseconds since 1970 */
} LocalPin;

void local_pin_deinit(LocalPin *pin);

/* One line of UTF-8 text, not empty. -EINVAL. */
int local_pin_check_reason(const char *reason, Error *error);

/* New memory in RET. -ENOMEM. */
int local_pin_make(const ReleaseRef *release, const char *reason, uint64_t since, LocalPin *ret);

/* null for none. NULL without memory. */
json_t *local_pin_to_json(const LocalPin *pin);

/* NULL and null are none; -EINVAL for what is no pin. */
int local_pin_from_json(json_t *json, LocalPin *ret);
