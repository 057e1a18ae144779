#pragma once

/* A unit that must be active, and for some time already: since a unit that systemd starts anew becomes active anew, its
 * age tells that it was not restarted. */

#include "hooks/probe.h"

extern const ProbeType probe_unit;
