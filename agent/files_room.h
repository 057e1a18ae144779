#pragma once

/* Whether there is room for the copies that a journal brings, on each file system that they come to. */

#include "agent/files_journal.h"
#include "artifacts/store.h"

/* -EROFS, or -ENOSPC, the host's fault, with how much is needed and how much is there. Where blocks are shared no
 * bytes are asked for. */
int files_room_check(const FilesJournal *journal, const StoreReserve *reserve, Error *error);
