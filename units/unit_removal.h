#pragma once

/* Taking units that a release brought out of the system again. */

#include "units/manager.h"
#include "units/unit_file.h"

/* Stops each of NAMES (of a template, all instances), disables them, removes their files and drop-ins, and reloads systemd.
 * Goes on with the others when one fails, and reports the first failure. A name whose file is gone already is no
 * error; one that is not APP's is neither stopped nor removed, and is an error (-EEXIST). FILES is copied, its
 * descriptor must stay open. */
typedef struct UnitRemoval UnitRemoval;
typedef void (*UnitRemovalDone)(UnitRemoval *removal, int result, const Error *error, void *userdata);

int unit_removal_start(Manager *manager, const UnitFiles *files, const char *app, char *const *names,
                       UnitRemovalDone done, void *userdata, UnitRemoval **ret, Error *error);
/* The first half of that: they are stopped and disabled, and stay installed. */
int unit_removal_stop_start(Manager *manager, const UnitFiles *files, const char *app, char *const *names,
                            UnitRemovalDone done, void *userdata, UnitRemoval **ret, Error *error);
UnitRemoval *unit_removal_free(UnitRemoval *removal);
DEFINE_CLEANUP(UnitRemoval *, unit_removal_free)
