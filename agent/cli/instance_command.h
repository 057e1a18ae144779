#pragma once

/* muster status, history, poll: what musterd on this machine says and is asked, over the bus. */

#include "agent/cli/command.h"

extern const Command command_status;
extern const Command command_history;
extern const Command command_poll;
