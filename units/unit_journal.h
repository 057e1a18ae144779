#pragma once

/* What a unit wrote into the journal. Reads the journal's files in place, a few milliseconds. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/base/error.h"

#define UNIT_JOURNAL_LINES_MAX 20U
#define UNIT_JOURNAL_SIZE_MAX 4096U

typedef struct UnitJournalSpec {
        const char *unit;
        uint64_t since; /* CLOCK_MONOTONIC, of this boot */
        unsigned lines; /* at most so many, */
        size_t size;    /* and so many bytes */
        bool times;     /* each line begins with its time */
} UnitJournalSpec;

typedef struct UnitJournal {
        char *text;      /* the last lines, oldest first, "program: message\n" each; "" if there are none */
        char *last_line; /* the last message of the unit's own, NULL if there is none */
} UnitJournal;

/* What UNIT wrote, and systemd on it, since SINCE (CLOCK_MONOTONIC, of this boot); at most UNIT_JOURNAL_LINES_MAX lines and
 * UNIT_JOURNAL_SIZE_MAX bytes, control characters replaced. By time and not by the run (_SYSTEMD_INVOCATION_ID), which
 * journald looks up when it takes a line in: for the last words of a process it then finds that of the next run. */
int unit_journal_read(const char *unit, uint64_t since, UnitJournal *ret, Error *error);

/* The same with other limits. */
int unit_journal_read_spec(const UnitJournalSpec *spec, UnitJournal *ret, Error *error);

void unit_journal_deinit(UnitJournal *journal);
