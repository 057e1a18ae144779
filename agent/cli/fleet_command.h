#pragma once

/* muster fleet: who runs what in a group, and how it does; muster wait: until enough of it runs a version. */

#include "agent/cli/command.h"

extern const Command command_fleet;
extern const Command command_wait;
