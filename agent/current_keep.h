#pragma once

/* `current` names the release that serves. Nobody but musterd writes it; but people and hooks can, and then the next restart
 * of a unit would run nothing, or something else. */

#include "agent/record.h"
#include "artifacts/store.h"

/* Whether it names the good release, or there is no good release, or a deployment is on its way. */
bool current_is_right(const ReleaseStore *store, const Record *record);

/* Sees to it that `current` names this release: 0 if it did, 1 if it had been removed or put elsewhere and was put back.
 * -ENOENT if the release is not in the store any more. */
int current_keep(const ReleaseStore *store, const ReleaseRef *release, Error *error);
