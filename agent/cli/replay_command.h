#pragma once

/* muster replay: makes the decisions of recorded deployments again. It reads files only, and asks nobody. */

#include "agent/cli/command.h"

extern const Command command_replay;
