#pragma once

/* Which boot this is, as text that is another one after every boot: made by the first that asks, in a file below /run, which
 * goes with the boot. It is not the kernel's boot id, because a service in a container may see the machine's there, which is
 * the same after the container was booted anew. */

#include <systemd/sd-id128.h>

#include "agent/base/error.h"

#define BOOT_ID_FOLDER "/run/muster"

int boot_id_get(const char *folder, char ret[static SD_ID128_STRING_MAX], Error *error);
