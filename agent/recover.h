#pragma once

/* `musterd --recover`, at boot, before any app's unit and without a network: where the power went in the middle of a
 * deployment, `current` and the unit files are taken back to the good release, so that code that never passed its
 * checks does not start itself; units that only the other release has are taken away. The record is left as it is:
 * musterd finishes the story. */

#include "agent/base/error.h"
#include "agent/config.h"

/* Looks at every app of the state folder. One app's trouble does not keep the others from being taken back; the first
 * one is returned. *RET_RELOAD: systemd must read unit files again. */
int recover(const Config *config, const char *boot_id, bool *ret_reload, Error *error);

/* systemctl daemon-reload, which works without a bus. */
int recover_reload(Error *error);
