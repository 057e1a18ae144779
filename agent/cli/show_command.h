#pragma once

/* muster show release, show target: verified documents, as text or JSON.
 * command_target_show is "muster target show", which is the same as "muster show target". */

#include "agent/cli/command.h"

extern const Command command_show;
extern const Command command_target_show;
