#pragma once

/* Private to the app: what becomes of it with what its instance is to the group (instance_life.h). app_set_life() and what
 * follows from it are in app.h. */

#include "agent/app.h"

/* A deployment has begun: whether the instance is to stay is asked anew. The answer comes while artifacts are fetched; on an instance
 * that is about to go the deployment then ends before it has changed anything. */
void app_look_at_life(App *app);

/* Ends a deployment that has become pointless with it. */
void app_heed_life(App *app);

/* Of an EngineLook: NULL, or why this instance is to change nothing more. */
const char *app_leaves(void *userdata);
