#pragma once

/* The links by which a unit is enabled, without systemd's help: for the time at boot when there is no bus. */

#include "agent/base/error.h"

/* Removes NAME's links from every .wants and .requires folder of the unit folder DIRFD, durably. Having none is no error; the
 * first failure is reported after all were tried. */
int unit_links_remove(int dirfd, const char *name, Error *error);
