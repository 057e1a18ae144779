#pragma once

/* Everything that a journal brings is made beside its place, before anything that is there is touched. */

#include "agent/files_journal.h"

/* Copies it from the release's tree, RELEASE_FD, with owners and modes, and has it on the disk for good. */
int files_stage(const FilesJournal *journal, int release_fd, Error *error);
