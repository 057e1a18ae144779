#pragma once

/* What a unit wrote into the journal. Reads the journal's files in place, a few milliseconds. */

#include <systemd/sd-id128.h>

#include "agent/base/error.h"

#define UNIT_JOURNAL_LINES_MAX 20U
#define UNIT_JOURNAL_SIZE_MAX 4096U

/* The last lines of UNIT (its own, and systemd's on it) in the run INVOCATION, or of any run if that is null; at most
 * UNIT_JOURNAL_LINES_MAX lines and UNIT_JOURNAL_SIZE_MAX bytes, oldest first, each ended by a line feed, control
 * characters replaced. New memory, "" if there are none. */
int unit_journal_tail(const char *unit, sd_id128_t invocation, char **ret, Error *error);
