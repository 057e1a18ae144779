#pragma once

/* The systemd units of a release. None is listed twice; only a service can be reloaded; a template is installed, never
 * started. */

#include "artifacts/document.h"

#define RELEASE_UNITS_MAX 64U

typedef enum ReleaseOnDeploy {
        ON_DEPLOY_RELOAD,
        ON_DEPLOY_RESTART, /* the default */
        ON_DEPLOY_RELOAD_OR_RESTART,
        ON_DEPLOY_START, /* of a socket the default: while one is restarted, connections are refused */
        ON_DEPLOY_NONE,
} ReleaseOnDeploy;

const char *release_on_deploy_to_string(ReleaseOnDeploy on_deploy);

typedef struct ReleaseUnit {
        char *name; /* "api.service" */
        char *file; /* the unit file in the app's tree; NULL: the unit is the machine's own */
        ReleaseOnDeploy on_deploy;
        unsigned line; /* of its file in an appspec; 0: not known */
} ReleaseUnit;

typedef SCHEMA_LIST(ReleaseUnit) ReleaseUnits;

extern const SchemaType release_units_type;
extern const SchemaType release_unit_name_type;
