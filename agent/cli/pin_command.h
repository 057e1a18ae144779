#pragma once

/* muster pin, unpin, rollback: a group held at a release, by a signed target of a higher serial; with --local one instance,
 * by its musterd. */

#include "agent/cli/command.h"

extern const Command command_pin;
extern const Command command_unpin;
extern const Command command_rollback;
