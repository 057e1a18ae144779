#pragma once

/* `muster rollout`: from the stable release to a candidate, in stages. */

#include "agent/cli/command.h"

extern const Command command_rollout;
