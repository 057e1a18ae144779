#pragma once

/* A TCP connection that must come about; it is closed again at once. Addresses are numeric, since looking up a name would
 * block the event loop; "localhost" is 127.0.0.1. */

#include "hooks/probe.h"

extern const ProbeType probe_tcp;
