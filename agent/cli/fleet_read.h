#pragma once

/* The reports of a group, read from its depot: one list, and a get for each report that has changed since the last look. */

#include "agent/cli/depot_access.h"
#include "agent/cli/fleet.h"
#include "artifacts/layout.h"

typedef struct FleetReader {
        const DepotAccess *access;
        char prefix[LAYOUT_KEY_MAX];
        Fleet fleet; /* as of the last look, judged and sorted */
} FleetReader;

/* ACCESS must stay. */
int fleet_reader_open(FleetReader *reader, const DepotAccess *access, const char *app, const char *group,
                      Error *error);
void fleet_reader_deinit(FleetReader *reader);
#define _cleanup_fleet_reader_ _cleanup_(fleet_reader_deinit)

/* Looks (again). On failure the fleet is what it was. A report that cannot be read as one is an instance with a problem. */
int fleet_reader_look(FleetReader *reader, Error *error);
