#pragma once

/* The freeze windows of a target, edited. Pure. */

#include <jansson.h>

#include "artifacts/target.h"

/* All that have not passed at NOW, as the member "freeze" of a target; but for the one that begins at WITHOUT, if that is not
 * 0, and with ADDED at the end, if that is not NULL. NULL: no memory. */
json_t *freeze_edit(const Target *target, uint64_t now, const TargetFreeze *added, uint64_t without);

/* Sorted by when they begin: {"from", "until", "reason", "state": "holds"|"comes"|"past"} each. NULL: no memory. */
json_t *freeze_list(const Target *target, uint64_t now);
