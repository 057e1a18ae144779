#pragma once

/* All commands of muster. A new one is a file that defines its Command, a line here and a line in verbs.c. */

#include "agent/cli/command.h"

extern const Command command_root;
