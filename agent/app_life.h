#pragma once

/* Private to the app: what becomes of it with what its instance is to the group (instance_life.h). app_set_life() and what
 * follows from it are in app.h. */

#include "agent/app.h"

/* Ends a deployment that has become pointless with it. */
void app_heed_life(App *app);

/* Of an EngineLook: NULL, or why this instance is to change nothing more. */
const char *app_leaves(void *userdata);
