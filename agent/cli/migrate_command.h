#pragma once

/* muster migrate: from CodeDeploy's agent to muster on this instance. Says what would change; with --apply takes over what
 * was deployed last. */

#include "agent/cli/command.h"

extern const Command command_migrate;
