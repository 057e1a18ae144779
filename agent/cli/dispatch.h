#pragma once

/* From the words of a command line to the command's run(): options, help, completion, errors, exit code. */

#include "agent/cli/command.h"

/* The options that every command takes, and what they fill. */
typedef struct GlobalValues {
        bool help;
        bool version;
        bool json;
        bool quiet;
        bool verbose;
} GlobalValues;

extern const Option global_options[];

/* ARGUMENTS are those after the program's name, NULL-terminated. */
ExitCode dispatch(const Command *root, char *const *arguments, Cli *cli);
