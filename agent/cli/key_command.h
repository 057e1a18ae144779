#pragma once

/* muster key generate, muster key show.
 * Keys are PEM files; nothing here prints a private one. */

#include "agent/cli/command.h"

extern const Command command_key;
