#pragma once

/* What other apps of this machine have installed, or are installing: nothing of it is replaced. */

#include "agent/files_list.h"
#include "artifacts/store.h"

/* Sorted; the source of each entry is the name of its app. An app whose list cannot be read is passed over: it says
 * so itself. */
int files_others_read(const ReleaseStore *store, FilesList *ret, Error *error);
