#pragma once

/* Who this machine was found to be, for a musterd that starts again in the same boot while the instance metadata is down. It
 * lies below /run, which goes with the boot: what an image holds, or the disk of a stopped instance, never says who a
 * machine is. It counts only for the configuration it was found with. */

#include "agent/identity.h"

#define IDENTITY_CACHE_FOLDER "/run/muster"

/* -ENOENT where there is none, or none that counts; then RET is untouched. */
int identity_cache_load(const char *folder, const Config *config, Identity *ret, Error *error);
int identity_cache_save(const char *folder, const Config *config, const Identity *identity, Error *error);
