#pragma once

/* muster root show */

#include "agent/cli/command.h"

extern const Command command_root_show;
