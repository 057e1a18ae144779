#pragma once

/* A program that must exit with 0, as a transient unit of its own. Its output goes to the journal, whose last line the
 * reason of a failure quotes. */

#include "hooks/probe.h"

extern const ProbeType probe_command;
