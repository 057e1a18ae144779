#pragma once

/* What a unit wrote into the journal. Reads the journal's files in place, a few milliseconds. */

#include <systemd/sd-id128.h>

#include "agent/base/error.h"

#define UNIT_JOURNAL_LINES_MAX 20U
#define UNIT_JOURNAL_SIZE_MAX 4096U

typedef struct UnitJournal {
        char *text;      /* the last lines, oldest first, "program: message\n" each; "" if there are none */
        char *last_line; /* the last message of the unit's own, NULL if there is none */
} UnitJournal;

/* What UNIT wrote, and systemd on it, in the run INVOCATION, or in any run if that is null; at most
 * UNIT_JOURNAL_LINES_MAX lines and UNIT_JOURNAL_SIZE_MAX bytes, control characters replaced. */
int unit_journal_read(const char *unit, sd_id128_t invocation, UnitJournal *ret, Error *error);

void unit_journal_deinit(UnitJournal *journal);
