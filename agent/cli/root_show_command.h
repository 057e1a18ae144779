#pragma once

/* muster root show: whose signatures a trust root asks for, and until when. */

#include "agent/cli/command.h"

extern const Command command_root_show;
