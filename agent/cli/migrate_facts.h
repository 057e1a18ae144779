#pragma once

/* What `muster migrate` reads of this machine: configuration, folders and service of CodeDeploy's agent. Changes nothing. */

#include "agent/cli/migrate_plan.h"

/* CONFIG is the path of codedeployagent.yml. -ENOENT if there is no trace of CodeDeploy's agent; -EBADMSG for a configuration
 * that cannot be read. */
int migrate_read_facts(const char *config, MigrateFacts *ret, Error *error);

/* Asks systemd; what cannot be told is not known. */
MigrateService migrate_ask_service(void);
