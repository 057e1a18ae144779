#pragma once

/* Waits until journald has taken in all that was said before: what a process wrote last reaches the journal some time after
 * systemd has reported its end. Uses the call that `journalctl --sync` makes (io.systemd.Journal.Synchronize, over Varlink:
 * https://varlink.org). */

#include <systemd/sd-event.h>

#include "agent/base/error.h"

#define JOURNAL_SYNC_SOCKET "/run/systemd/journal/io.systemd.journal"
#define JOURNAL_SYNC_TIMEOUT_USEC (2 * UINT64_C(1000000))

typedef struct JournalSync JournalSync;

/* Called once, whether journald answered in time or not: what is in the journal then is what there is. */
typedef void (*JournalSyncDone)(JournalSync *sync, void *userdata);

int journal_sync_start(sd_event *event, JournalSyncDone done, void *userdata, JournalSync **ret,
                       Error *error);
JournalSync *journal_sync_free(JournalSync *sync);
DEFINE_CLEANUP(JournalSync *, journal_sync_free)
