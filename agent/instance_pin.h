#pragma once

/* Pins this instance to a release that lies in its store, in the deploy record. That the record is written before anything
 * is done about it is what makes a pin survive whatever happens next. */

#include "agent/record.h"
#include "artifacts/store.h"

typedef struct InstancePinOrder {
        const char *version; /* or a release's whole name in the store, where two are called the same */
        const char *reason;
        uint64_t at; /* microseconds since 1970 */
} InstancePinOrder;

/* Whatever of that release failed under an earlier pin may be tried again. CHANGED is false, and nothing was done, where
 * the release serves already and is pinned for the same reason. -EINVAL for a version that may mean several releases or
 * a reason that is none; -ENOENT with a sentence that says what is there. */
int instance_pin_set(const ReleaseStore *store, Record *record, const InstancePinOrder *order,
                     bool *ret_changed, Error *error);

int instance_pin_clear(const ReleaseStore *store, Record *record, bool *ret_changed, Error *error);
