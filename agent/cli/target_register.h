#pragma once

/* The register of what a target says, made before the target is written: agents find it there, and make none themselves. */

#include "agent/cli/register_access.h"

/* So long a register that nobody has touched yet is taken for this target's by who tries again after a failure: later the
 * fleet that it tells of may be another one. */
#define TARGET_REGISTER_REUSE_MAX (UINT64_C(10) * 60 * 1000000)

/* 1: it is there, or TARGET needs none. 0: its id is taken by something else, and TARGET must be called by another. */
int target_register_make(const DepotAccess *access, const Target *target, Error *error);
