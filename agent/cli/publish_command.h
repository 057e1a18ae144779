#pragma once

/* muster publish: from a folder or an archive to a signed release in the depot.
 * Whatever was broken off is finished by doing it again: artifacts lie under their digests, and the release, which makes
 * them count, is created last and once. */

#include "agent/cli/command.h"

extern const Command command_publish;
