#pragma once

/* Completion from the tables; the shell's function calls the hidden command "muster __complete WORD...". */

#include "agent/cli/command.h"

/* What the shell should offer its own names for. */
#define COMPLETE_FILES ":files"

/* Prints what may stand in place of the last of WORDS (those after "muster"; the last may be empty), one a line.
 * -ENOMEM. */
int complete_print(const Command *root, const Option *globals, char *const *words, FILE *stream);
