#pragma once

/* muster simulate: the timeline of a rollout before it is started. */

#include "agent/cli/command.h"

extern const Command command_simulate;
