#pragma once

/* All commands of muster. A new one is a file that defines its Command, a line here and a line in verbs.c. */

#include "agent/cli/command.h"

extern const Command command_root;

extern const Command command_key;
extern const Command command_root_of_trust;
extern const Command command_publish;
extern const Command command_target;
extern const Command command_target_show;
extern const Command command_show;
extern const Command command_status;
extern const Command command_history;
extern const Command command_poll;
