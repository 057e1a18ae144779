#pragma once

/* The verbs of `muster rollout` that change its register and sign nothing: pause, resume, promote, abort. */

#include "agent/cli/command.h"

extern const Command command_rollout_pause;
extern const Command command_rollout_resume;
extern const Command command_rollout_promote;
extern const Command command_rollout_abort;
