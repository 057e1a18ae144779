#pragma once

/* The environment of an app's units, hooks and command health checks. */

#include "agent/engine.h"
#include "artifacts/release.h"
#include "artifacts/target.h"

/* The app's values alone, those of the group over those of the release: "NAME=value", sorted by name. What units see.
 * RELEASE may be NULL. -ENOMEM. */
int environment_of_app(const Release *release, char *const *group_environment, char ***ret);

/* The same with CodeDeploy's variables
 * (https://docs.aws.amazon.com/codedeploy/latest/userguide/reference-appspec-file-structure-hooks.html) and muster's. What
 * hooks see. SUBJECT is the release whose hooks run. -ENOMEM. */
int environment_of_hooks(const EngineContext *context, const ReleaseRef *subject, const Release *release,
                         char *const *group_environment, char ***ret);

/* As systemd reads it with EnvironmentFile= (systemd.exec(5)); new memory. -ENOMEM. */
int environment_to_file(char *const *environment, char **ret);

/* A group's values, "NAME=value", sorted, in place of what *ENVIRONMENT holds, and their digest: those of a target, or those
 * that the good release runs with. -ENOMEM. */
int environment_of_target(const Target *target, char ***environment, char sha256[static DIGEST_HEX_SIZE]);
int environment_of_good(const Record *record, char ***environment, char sha256[static DIGEST_HEX_SIZE]);
