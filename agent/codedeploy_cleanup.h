#pragma once

/* The list of what CodeDeploy's agent has installed for a deployment group, <group>-cleanup: an absolute path a line, in the
 * order in which they came to be, and "semanage", a zero character and a path for each SELinux context. It is written as the
 * install goes on. Pure. */

#include <stddef.h>

#include "agent/base/error.h"

#define CODEDEPLOY_PATHS_MAX 1000000U
#define CODEDEPLOY_CLEANUP_SIZE_MAX (256U * 1024U * 1024U)

/* The paths, in order, contexts left out; a last line without its end was not finished and does not count. NULL for none;
 * strv_free(). -EBADMSG with a sentence for one that is not absolute or has a "..". */
int codedeploy_cleanup_parse(const void *data, size_t size, char ***ret, size_t *ret_n, Error *error);
