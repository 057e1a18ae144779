#pragma once

/* Whether what a release installed outside of its folder is still as it was installed. */

#include "artifacts/store.h"
#include "artifacts/tree_check.h"

/* VISIT is told each difference, with its path on the file system. NAME is the good release's, which the files are compared
 * with. Nothing is told while a change is under way. Reads all content. */
int files_check(const ReleaseStore *store, const char *name, TreeDriftVisit visit, void *userdata,
                Error *error);
