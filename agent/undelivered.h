#pragma once

/* What others have yet to hear from this instance: what the group is to be told about its launch and its end, and the
 * apps' reports. All of it is made of durable records, tried again until it has been heard, and holds nothing up. */

#include "agent/app.h"
#include "agent/launch.h"
#include "agent/leave.h"

/* An array of {"what", "app", "since", "reason"}; LAUNCH and LEAVE may be NULL. NULL: out of memory. */
json_t *undelivered_to_json(const Launch *launch, const Leave *leave, App *const *apps, size_t n_apps);
