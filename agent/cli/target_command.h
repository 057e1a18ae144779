#pragma once

/* muster target set, refresh, show: what groups run.
 * A target is written only over the one that was read (If-Match), and only after the release has been verified. */

#include "agent/cli/command.h"

extern const Command command_target;
