#pragma once

/* What an app's releases install outside of their folders: brought with SWITCH, taken back with ROLLBACK or after a crash,
 * finished after COMMIT. Its state lies in the folder files/ of the app:
 *
 *     installed            what the good release has installed (files_list.h)
 *     prepare, journal     a change that is under way (files_journal.h)
 *
 * All of this reads, writes and syncs, and belongs into a process of its own (agent/base/task.h), or into muster-recover. */

#include "agent/files_list.h"
#include "agent/record.h"
#include "artifacts/release.h"
#include "artifacts/store.h"

#define FILES_FOLDER "files"
#define FILES_INSTALLED FILES_FOLDER "/installed"
#define FILES_PREPARE FILES_FOLDER "/prepare"
#define FILES_JOURNAL FILES_FOLDER "/journal"

/* Whether anything is to be done for RELEASE (NULL: none): it installs files, or some are installed, or a change is under
 * way. Cheap. */
bool files_concern(const ReleaseStore *store, const Release *release);

/* Whether a change is under way. Cheap. */
bool files_are_unsettled(const ReleaseStore *store);

/* What the good release has installed: 1, or 0 where it has installed nothing. */
int files_read_installed(const ReleaseStore *store, FilesList *ret, Error *error);

/* What is to be installed; all of it borrowed. */
typedef struct FilesInstall {
        const ReleaseStore *store;
        const Record *record; /* its running deployment is what this is done for */
        const ReleaseRef *ref;
        const Release *release; /* in the store */
        StoreReserve reserve;   /* what must be left free of each file system */
        bool missing_only; /* it is the good release, and only what has gone of it is brought again: hooks may have changed the
                              rest, and are not run on the way back */
} FilesInstall;

/* Installs it. What a deployment before left is settled first, and what this one has done before a crash is taken back first.
 * 0, or FILES_UNITS_CHANGED if any of it lies where systemd reads units; on failure files_take_back() is due. -ENOSPC with
 * nothing done. */
#define FILES_UNITS_CHANGED 1
int files_install(const FilesInstall *install, Error *error);

/* -ENOSPC or -EROFS if, as things are, there is no room for it or nothing can be written there; everything else shows when
 * it is done. */
int files_foresee(const FilesInstall *install, Error *error);

/* Writes down that of RELEASE, which is in the store, another deployer has installed what lies at PATHS (absolute): once the
 * running deployment of RECORD has committed, it is what the good release has installed. Nothing of it is touched. */
int files_adopt(const ReleaseStore *store, const Record *record, const ReleaseRef *ref,
                const Release *release, char *const *paths, Error *error);

/* Has everything as the good release installed it, as far as a change of RECORD's running deployment is in the way. What
 * lies beside the places and cannot be removed stays for files_settle(). With KEEP_JOURNAL only places change, and nothing is
 * removed for good: at boot, when not all file systems may be there yet. As files_install(). */
int files_take_back(const ReleaseStore *store, const Record *record, bool keep_journal, Error *error);

/* Finishes or takes back what the last deployment left, unless one runs that is not through with it. */
int files_settle(const ReleaseStore *store, const Record *record, Error *error);
