#pragma once

/* --help, written from the tables: what the command is for, how it is called, its options and examples; of a group, all
 * that can be run below it. Fits the terminal, but never wider than is good to read. */

#include "agent/cli/command.h"

/* GLOBALS are the options that every command takes. */
void help_print(const CommandPath *path, const Option *globals, FILE *stream, const Style *style,
                unsigned columns);

/* Prints TEXT in lines of at most COLUMNS, INDENT deep; the cursor is at column AT.
 * Line feeds in TEXT stay. */
void help_wrap(FILE *stream, const char *text, unsigned indent, unsigned at, unsigned columns);
