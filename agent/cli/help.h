#pragma once

/* What --help prints, written from the tables of commands and options: synopsis, options, examples. */

#include "agent/cli/command.h"

/* GLOBALS are the options that every command takes. */
void help_print(const CommandPath *path, const Option *globals, FILE *stream, const Style *style,
                unsigned columns);

/* Prints TEXT in lines of at most COLUMNS, INDENT deep; the cursor is at column AT.
 * Line feeds in TEXT stay. */
void help_wrap(FILE *stream, const char *text, unsigned indent, unsigned at, unsigned columns);
