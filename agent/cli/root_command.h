#pragma once

/* muster root init, rotate, sign, publish, show: the trust root, whose signatures the instances believe.
 * A root that lacks signatures is written all the same, so that the next person can sign it, but is not published. */

#include "agent/cli/command.h"

extern const Command command_root_of_trust;
