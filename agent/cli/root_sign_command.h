#pragma once

/* muster root sign and muster root publish: what is done with a trust root that somebody else has made. */

#include "agent/cli/command.h"

extern const Command command_root_sign;
extern const Command command_root_publish;
