#pragma once

/* An HTTP GET that must have a certain status, and perhaps a header and a text in its body. Every attempt asks for a
 * connection of its own: one that is kept could still lead to the process of the old release. */

#include "hooks/probe.h"

extern const ProbeType probe_http;
