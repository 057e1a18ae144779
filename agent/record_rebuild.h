#pragma once

/* A deploy record from what else is known, where it cannot be read (a disk that lost it, an editor): the history tells what
 * was deployed, in what order and how it ended, and `current` what serves. What serves goes on serving unless it never
 * passed its checks. Lost is only what was accepted and never led to a deployment; a pin of the instance is, too. */

#include "agent/record.h"
#include "artifacts/store.h"

/* Pure: takes in a finished deployment that is newer than those before; *DEPLOYMENT is taken over. -ENOMEM. */
int record_rebuild_add(Record *record, Deployment *deployment);

/* Pure: what is to be done about CURRENT (NULL: there is none). IS_WHOLE: the good release is in the store. A current that
 * is not the good one becomes a deployment that is going back, as if musterd had ended in its middle. -ENOMEM. */
int record_rebuild_end(Record *record, const ReleaseRef *current, bool is_whole, uint64_t now);

/* Makes the record's deployment one that goes back from TO to the good release, or takes everything down where there is
 * none: for what is found and was not asked for. -ENOMEM. */
int record_go_back_from(Record *record, const ReleaseRef *to, const char *reason, uint64_t now);

/* All of it, from the store's folder. Where nothing is known it is an empty record. */
int record_rebuild(const ReleaseStore *store, uint64_t now, Record *ret, Error *error);
