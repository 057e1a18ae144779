#pragma once

/* muster verify: whether the instances will believe a document, and whether what lies in the depot is what was signed. A
 * file is verified without any depot; a version with every byte of its artifacts. */

#include "agent/cli/command.h"

extern const Command command_verify;
