#pragma once

/* Enabling and disabling units for the next boot, without starting or stopping them now. */

#include <stdbool.h>

#include "units/manager.h"

typedef struct UnitEnable UnitEnable;
typedef void (*UnitEnableDone)(UnitEnable *enable, int result, const Error *error, void *userdata);

/* systemctl enable (or disable) of the units NAMES; the links that systemd makes or removes are synced to disk. Units
 * without an [Install] section are left as they are. Nothing to do for no names. */
int unit_enable_start(Manager *manager, char *const *names, bool enable, UnitEnableDone done, void *userdata,
                      UnitEnable **ret, Error *error);
UnitEnable *unit_enable_free(UnitEnable *enable);
DEFINE_CLEANUP(UnitEnable *, unit_enable_free)
