#pragma once

/* `muster rollout status`: how a rollout stands, once or until it has ended. */

#include "agent/cli/command.h"

extern const Command command_rollout_status;
