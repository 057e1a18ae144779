#pragma once

/* What `muster migrate` found and what it would do, as a value: facts in, JSON out (muster(1) has its shape). Pure. */

#include <jansson.h>

#include "agent/codedeploy_config.h"
#include "agent/codedeploy_state.h"

#define CODEDEPLOY_SERVICE "codedeploy-agent.service"

typedef struct MigrateService {
        bool known; /* systemd answered, and has such a unit */
        bool active;
        bool enabled;
} MigrateService;

typedef struct MigrateFacts {
        CodedeployConfig config, on_premises; /* empty where there is no such file */
        bool has_config, has_on_premises;
        bool has_root; /* there is a root_dir */
        CodedeployState state;
        MigrateService service;
} MigrateFacts;

/* What is asked for. */
typedef struct MigrateWish {
        const char *app;              /* NULL: none was named yet */
        const char *version;          /* NULL: "codedeploy-<deployment>" */
        const CodedeployGroup *group; /* what is taken over; NULL: nothing can be, or it has to be named */
        const char *bundle_problem;   /* why its archive is no release of muster; NULL: it is one */
} MigrateWish;

void migrate_facts_deinit(MigrateFacts *facts);

/* Where CodeDeploy's agent keeps what it deploys. */
const char *migrate_root_dir(const MigrateFacts *facts);

/* The group that ID names; with ID NULL the only one, and NULL in *RET where there are none or several. -ENOENT, -EBADMSG if it
 * cannot be taken over. */
int migrate_choose(const MigrateFacts *facts, const char *id, const CodedeployGroup **ret, Error *error);

/* "codedeploy-d-ABCDEFGHI", new memory or NULL. */
char *migrate_version(const CodedeployGroup *group);

/* The line that says a setting to muster, "[aws] use_fips = yes"; NULL where there is none, or muster does so by
 * itself. New memory. -ENOMEM. */
int migrate_line(const CodedeploySetting *setting, char **ret);

/* NULL without memory. */
json_t *migrate_plan_make(const MigrateFacts *facts, const MigrateWish *wish);
