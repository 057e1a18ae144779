#pragma once

/* muster root init and muster root rotate: trust roots are made here, and published if enough have signed them. */

#include "agent/cli/command.h"

extern const Command command_root_init;
extern const Command command_root_rotate;
