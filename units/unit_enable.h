#pragma once

/* Enabling, disabling and removing installed units: what needs both the files and systemd. */

#include "units/manager.h"
#include "units/unit_file.h"

typedef struct UnitEnable UnitEnable;
typedef void (*UnitEnableDone)(UnitEnable *enable, int result, const Error *error, void *userdata);

/* systemctl enable (or disable) of the units NAMES, without starting (or stopping) them; the links that systemd made
 * are synced to disk. Units without an [Install] section are left as they are. Nothing to do for no names. */
int unit_enable_start(Manager *manager, char *const *names, bool enable, UnitEnableDone done, void *userdata,
                      UnitEnable **ret, Error *error);
UnitEnable *unit_enable_free(UnitEnable *enable);
DEFINE_CLEANUP(UnitEnable *, unit_enable_free)

/* Takes units of APP out of the system: stops each (with all instances of a template), disables it, removes its file and
 * drop-in, then reloads systemd once. Goes on with the others when one fails, and reports the first failure. FILES is
 * copied, its descriptor must stay open. */
typedef struct UnitRemoval UnitRemoval;
typedef void (*UnitRemovalDone)(UnitRemoval *removal, int result, const Error *error, void *userdata);

int unit_removal_start(Manager *manager, const UnitFiles *files, const char *app, char *const *names,
                       UnitRemovalDone done, void *userdata, UnitRemoval **ret, Error *error);
UnitRemoval *unit_removal_free(UnitRemoval *removal);
DEFINE_CLEANUP(UnitRemoval *, unit_removal_free)
