#pragma once

/* What another deployer (CodeDeploy's agent) has installed is taken over as an app's first release: what that release is made
 * of is in the store like any other, and the paths that were installed count as muster's, so that the release after it
 * removes those that it does not have. Nothing of the app is stopped, started or written.
 *
 * The paths come with the order and lie in the app's folder for as long as the deployment runs, so that it can go on after
 * musterd has ended. */

#include "agent/record.h"
#include "artifacts/store.h"

#define ADOPT_FILE "adopt" /* as codedeploy_cleanup.h has it */

/* Checks and keeps what FD, which can be sought in, has. -EINVAL for what is no such list. */
int adopt_keep_paths(const ReleaseStore *store, int fd, Error *error);

/* strv_free(). */
int adopt_read_paths(const ReleaseStore *store, char ***ret, Error *error);

/* The deployment has ended: the paths are of no use any more, and one that failed leaves no `current`. */
void adopt_end(const ReleaseStore *store, const Record *record);

/* musterd begins: the same for one that has ended, or never begun, when it was killed. */
void adopt_end_after_crash(const ReleaseStore *store, const Record *record);
