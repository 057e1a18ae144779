#pragma once

/* muster gc: removes from the depot what no target needs. */

#include "agent/cli/command.h"

extern const Command command_gc;
