#pragma once

/* The documents that failed instances have left in the depot (agent/failure.h), found by their keys. Pure. */

#include "agent/base/error.h"
#include "artifacts/depot.h"

/* Those of ENTRIES that are failures below PREFIX (layout_failures()), and INSTANCE's if that is not NULL: by its whole
 * name, or by what follows the last ":" of it, as in "AROAEXAMPLE:i-0123456789abcdef0". Newest first, in new memory, with
 * keys that stay the entries'. -ENOMEM. */
int failure_list_find(const DepotEntry *entries, size_t n, const char *prefix, const char *instance,
                      const DepotEntry ***ret, size_t *ret_n);
