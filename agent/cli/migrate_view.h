#pragma once

/* The plan of `muster migrate` (migrate_plan.h) as text for people. Pure: JSON in, lines out; every text of it is fit for a
 * terminal already (view_make_printable()). */

#include <jansson.h>

#include "agent/cli/cli.h"

/* VERBOSE: the settings that are CodeDeploy's own defaults, too. */
void migrate_view(const json_t *plan, bool verbose, FILE *stream, const Style *style);
