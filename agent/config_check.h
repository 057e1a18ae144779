#pragma once

/* What is wrong with a configuration although each of its lines can be read: values that are not what they stand for, are too
 * small, or do not go together. */

#include "agent/config.h"

/* -EINVAL with a sentence that names section, key and what was expected. Of [aws] alone: config_check_aws(). */
int config_check(const Config *config, Error *error);
int config_check_aws(const Config *config, Error *error);
