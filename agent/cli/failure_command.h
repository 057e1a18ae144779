#pragma once

/* muster show failure: why instances failed to launch, also those that are no more. */

#include "agent/cli/command.h"

extern const Command command_show_failure;
