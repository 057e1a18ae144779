#pragma once

/* The path by which scripts of CodeDeploy's bundles find their own bundle,
 * /opt/codedeploy-agent/deployment-root/$DEPLOYMENT_GROUP_ID/ $DEPLOYMENT_ID/deployment-archive: a symbolic link to
 * the release's folder, for as long as that is the good one. Only for releases one of whose hooks has that path in
 * it. */

#include <stdbool.h>

#include "agent/codedeploy_config.h"
#include "artifacts/release.h"

#define CODEDEPLOY_SCRIPT_SIZE_MAX (256U * 1024U) /* of a larger one nothing is looked at */

/* Whether a script of any event names CodeDeploy's folder. RELEASE_FD is the release's tree. */
bool codedeploy_paths_are_used(int release_fd, const Release *release);

/* ROOT is CODEDEPLOY_ROOT_DIR but in tests; TARGET the release's folder. What is there and no link is left alone: -EEXIST. */
int codedeploy_paths_put(const char *root, const char *group, const char *deployment, const char *target,
                         Error *error);

/* Removes the links of GROUP that lead below FOLDER, but for those to KEEP (NULL: none), and folders that are empty then. */
void codedeploy_paths_prune(const char *root, const char *group, const char *folder, const char *keep);
