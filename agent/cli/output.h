#pragma once

/* What commands print for programs, where --json is given: one JSON value on standard output, and nothing else. */

#include <jansson.h>

#include "agent/cli/cli.h"

/* Prints VALUE (taken over; NULL means that there was no memory for it) as one JSON value with a line feed. */
int output_json(const Cli *cli, json_t *value, Error *error);
