#pragma once

/* `muster why`: what an instance waits for, and who holds the place. */

#include "agent/cli/command.h"

extern const Command command_why;
