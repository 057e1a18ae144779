#pragma once

/* What one instance waits for, in one sentence. Pure. */

#include <jansson.h>

#include "agent/base/error.h"

/* From a picture (rollout_picture.h); INSTANCE is a name or an EC2 id. New memory. -ENOENT: it is not in it. */
int rollout_why(const json_t *picture, const char *instance, char **ret, Error *error);

/* From what musterd says of one app in its status. New memory. -ENOMEM. */
int rollout_why_here(const json_t *app, char **ret);
