#pragma once

/* `muster freeze`: windows in which a group moves toward no candidate. */

#include "agent/cli/command.h"

extern const Command command_freeze;
