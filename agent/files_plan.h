#pragma once

/* What has to be done so that what a release installs is in its places: the journal of it, with nothing done yet. It looks at
 * what is there, by descriptor (files_place.h), and changes nothing.
 *
 * What the release before installed is replaced or goes, whatever has become of it; what somebody else put there is for
 * `file_exists_behavior` to say, and what another app of this machine installed is never touched. Folders that are missing
 * are made; those that muster made go again, once they are empty, with the last release that needs them. */

#include "agent/files_journal.h"
#include "artifacts/file_map.h"

typedef struct FilesPlan {
        const FileMap *map;         /* finished */
        const FilesList *installed; /* by the release before, sorted */
        const FilesList *others;    /* by other apps, sorted; NULL: none */
        unsigned exists;            /* ReleaseFileExists */
        const char *state_dir;      /* without symbolic links */
        const char *current;        /* what links of `mode: link` lead into: <state>/apps/<app>/current */
        int release_fd;    /* the release's tree; what is in place already is compared with it, or, for -1,
                                       only by its size */
        bool missing_only; /* what the release has installed before and what is there stays, however it is */
} FilesPlan;

/* Fills in operations and what is installed then; JOURNAL is otherwise the caller's. -EEXIST and the like with the
 * release's fault for what is in the way. */
int files_plan(const FilesPlan *plan, FilesJournal *journal, Error *error);
