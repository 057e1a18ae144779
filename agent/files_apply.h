#pragma once

/* Does what a journal says, takes it back, or finishes it. Everything can be done again: how far each operation has come is
 * read off the names that are there. */

#include "agent/files_journal.h"

/* Puts what has been staged (files_stage.h) in its places, durably. */
int files_apply_switch(const FilesJournal *journal, Error *error);

/* Puts back what was there, by renames alone, durably. What arrived lies beside its place again. */
int files_apply_undo(const FilesJournal *journal, Error *error);

/* Removes what had arrived, after files_apply_undo() or before files_apply_switch(). Of a folder that was new only what the
 * release brought goes: if somebody has put something else into it, the folder stays. */
int files_apply_drop(const FilesJournal *journal, Error *error);

/* Removes what was kept to go back to, and the folders that nothing is in any more, durably. */
int files_apply_finish(const FilesJournal *journal, Error *error);
