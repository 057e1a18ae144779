#pragma once

/* muster root sign, muster root publish */

#include "agent/cli/command.h"

extern const Command command_root_sign;
extern const Command command_root_publish;
