#pragma once

/* muster deploy --local: a folder or an archive on this instance, through musterd's own engine, without AWS, group or
 * signature. What it checks and how it goes back is what every deployment has. */

#include "agent/cli/command.h"

extern const Command command_deploy;
