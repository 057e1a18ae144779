#pragma once

/* What every command is given: where it prints, how, and the clock. */

#include <stdbool.h>
#include <stdio.h>

#include "agent/base/clock.h"
#include "agent/base/error.h"
#include "agent/exit_code.h"

typedef struct Style {
        const char *strong, *good, *bad, *faint, *off; /* escape sequences, or "" where there is no colour */
} Style;

typedef struct Cli {
        FILE *out; /* what was asked for */
        FILE *err; /* progress and errors */
        Style out_style;
        Style err_style;
        bool err_is_terminal;
        unsigned columns;
        bool quiet;
        bool verbose;
        bool json;
        const Clock *clock;
} Cli;

/* Looks at the streams, NO_COLOR and TERM. */
void cli_init(Cli *cli, FILE *out, FILE *err);

/* The exit code that R stands for: 0, a negative errno or an ExitCode. */
ExitCode cli_exit_code(int r);

/* "muster: message" on standard error. */
void cli_print_error(const Cli *cli, const Error *error);

/* "muster: warning: …" on standard error, whatever was asked for. */
void cli_warn(const Cli *cli, const char *format, ...) _printf_(2, 3);

/* A line for a person on standard output; nothing with --quiet or --json. */
void cli_say(const Cli *cli, const char *format, ...) _printf_(2, 3);
