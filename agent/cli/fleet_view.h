#pragma once

/* A fleet for people: a table and one line that sums it up. Pure. */

#include "agent/cli/cli.h"
#include "agent/cli/fleet.h"

/* Which instances are listed. */
typedef struct FleetFilter {
        const char *version; /* NULL: any */
        bool unhealthy;      /* only the unhealthy and the silent ones */
        bool gone;           /* also those that are gone */
} FleetFilter;

bool fleet_filter_takes(const FleetFilter *filter, const FleetInstance *instance);

/* "11 instances: 9 on 1.4.2, 2 on 1.4.1; 10 healthy, 1 unhealthy; 3 silent, 2 gone": of all of them, without a line feed. New
 * memory. -ENOMEM. */
int fleet_view_summary(const Fleet *fleet, char **ret);

/* The summary, then the table of those that FILTER takes, if there are any. -ENOMEM. */
int fleet_view_print(const Fleet *fleet, const FleetFilter *filter, FILE *stream, const Style *style);

/* Where nobody is listed since nobody is there: why, and what to do; "" else. UNDER is where the reports would be. New memory.
 * -ENOMEM. */
int fleet_view_nobody(const Fleet *fleet, const FleetFilter *filter, const char *under, char **ret);

/* {"summary": …, "instances": […]}, a new reference. NULL: out of memory. */
json_t *fleet_view_to_json(const Fleet *fleet, const FleetFilter *filter);
