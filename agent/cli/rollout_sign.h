#pragma once

/* The verbs of `muster rollout` that sign a target: start and finish. */

#include "agent/cli/command.h"

extern const Command command_rollout_start;
extern const Command command_rollout_finish;
