#pragma once

/* Names of systemd units (systemd.unit(5)). */

#include <stdbool.h>

#include "units/unit_state.h"

/* A whole unit name with one of the types that a release may bring: service, socket, timer, path, target, slice.
 * "name@.type" is a template, "name@instance.type" an instance of one. */
bool unit_name_is_valid(const char *name);
bool unit_name_is_template(const char *name);

/* "service" in "api.service"; "" without one */
const char *unit_name_type(const char *name);

/* Names that mean something to systemd or to muster itself, whether or not a file of that name exists. */
bool unit_name_is_reserved(const char *name);

/* TEXT with all but letters, digits, "_" and "." (and that not in front) written as \x2d, as systemd does, so that "-" can
 * separate the parts of a name. New memory. -ENOMEM. */
int unit_name_escape(const char *text, char **ret);
