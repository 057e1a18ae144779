#pragma once

/* muster doctor: what keeps this instance from deploying. Puts the checks of doctor_checks.h in order; each looks as musterd
 * would, changes nothing, and says one line or more. */

#include "agent/cli/command.h"

extern const Command command_doctor;
