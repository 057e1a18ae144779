#pragma once

/* Reads the answer of systemd's ListUnitsByPatterns: the names of the units, which are the first of the ten values that it
 * lists for each. */

#include <systemd/sd-bus.h>

/* Before the first name. What sd_bus says. */
int unit_list_begin(sd_bus_message *reply);

/* 1 with the next name, which belongs to REPLY; 0 at the end; what sd_bus says. */
int unit_list_next(sd_bus_message *reply, const char **ret);
