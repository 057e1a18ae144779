#pragma once

/* muster root init, muster root rotate */

#include "agent/cli/command.h"

extern const Command command_root_init;
extern const Command command_root_rotate;
