#pragma once

/* A rollout as it stands, as one JSON value: what `muster rollout status --json` prints and all views are made of. Pure. */

#include "agent/cli/rollout_rows.h"

/* {"app", "group", "serial", "rollout", "state", "sentence", "reason", "by", "stable", "version", "release_sha256", "stage",
 *  "stages": [{"share", "bake", "state": "done|open|to come", "need", "members", "entry"}], "not_before", "promote",
 *  "promoted", "max_parallel", "max_failures", "failures", "live", "members", "running", "goes_on", "frozen_until",
 *  "alarms": {"names", "state": "not-seen|quiet|unknown|ring", "reason", "seen"} or null, "written", "instances": rollout_rows_make(), "failed": rollout_failures_make()}
 *
 * State is the register's, "missing" or "unreadable", or "none" where the target needs no register: then the members from
 * "stage" on are not there. NULL: no memory. */
json_t *rollout_picture_make(const RolloutFacts *facts);
