#pragma once

/* How far a long operation is: a bar that is drawn over itself on a terminal, now and then a line elsewhere, nothing
 * with --quiet. Goes to standard error, so that standard output stays what was asked for. */

#include "agent/cli/cli.h"

#define PROGRESS_LINE_MAX 256U
#define PROGRESS_DRAW_INTERVAL (100 * USEC_PER_MSEC)
#define PROGRESS_LINE_INTERVAL (5 * USEC_PER_SEC)

/* Pure: "upload  [=====>    ]  52%  10.4 MiB of 20.0 MiB  8.1 MiB/s  1s left", never wider than COLUMNS; what does
 * not fit is left out from the right. A TOTAL of zero is not known: then only what is done is told. */
void progress_format(const char *label, uint64_t done, uint64_t total, uint64_t elapsed, unsigned columns,
                     char ret[static PROGRESS_LINE_MAX]);

/* "=====>    ", WIDTH characters and a zero byte. */
void progress_bar(unsigned percent, unsigned width, char *ret);

typedef struct Progress {
        const Cli *cli;
        const char *label;
        uint64_t total;
        uint64_t started;
        uint64_t shown; /* when last */
        bool is_drawn;  /* a bar stands on the terminal */
} Progress;

/* LABEL is not copied. */
void progress_begin(Progress *progress, const Cli *cli, const char *label, uint64_t total);
void progress_update(Progress *progress, uint64_t done);

/* Wipes the bar; also before anything else is printed. */
void progress_clear(Progress *progress);
