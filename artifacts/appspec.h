#pragma once

/* appspec.yml: how the author of an app describes it. CodeDeploy's file
 * (https://docs.aws.amazon.com/codedeploy/latest/userguide/reference-appspec-file.html), with sections of ours:
 *
 *   version: 0.0
 *   os: linux
 *   files:
 *     - source: web
 *       destination: /var/www/html
 *   permissions:
 *     - object: /var/www/html
 *       owner: www-data
 *   file_exists_behavior: OVERWRITE   # or RETAIN, or DISALLOW, the default
 *   hooks:                            # CodeDeploy's events; default time-out 3600 seconds
 *     AfterInstall:
 *       - location: hooks/migrate
 *         args: [--quick]             # ours
 *         timeout: 300                # seconds, or "5m"
 *         runas: api
 *   units:
 *     - name: api.service
 *       file: units/api.service       # in the app's folder; without it the unit is the machine's own
 *       on_deploy: reload             # reload, restart (the default), reload-or-restart, start, none
 *   health:
 *     - type: http                    # http, tcp, command, unit; see ReleaseHealth
 *       url: http://127.0.0.1:8080/healthz
 *       body: ${version}              # "${version}" in body and header becomes the release's version
 *   traffic: target-group           # or none, the default: whether it leaves its load balancer for a change
 *   env:
 *     GOMAXPROCS: 4
 *
 * It is read where it is published, never on an instance. A key that is not known is refused by name, but for those that
 * CodeDeploy, which ignores them, lets pass in its own sections: such a one is passed over with a warning, unless it
 * resembles a known one; every message has file, line and key ("appspec.yml:12: hooks.AfterInstall[0].timeout: ..."). Numbers may
 * be quoted or not. As CodeDeploy joins a location to the bundle's folder, a leading "/" or "./" is dropped. `sudo`, which
 * CodeDeploy takes in a hook, is taken too and changes nothing: hooks start as root and become `runas`. */

#include "artifacts/release.h"

#define APPSPEC_SIZE_MAX (256U * 1024)
#define APPSPEC_FILE_NAME "appspec.yml"
#define APPSPEC_OTHER_NAME "appspec.yaml" /* where there is no appspec.yml */

typedef struct Appspec {
        ReleaseFiles files;
        ReleasePermissions permissions;
        unsigned file_exists; /* ReleaseFileExists */
        ReleaseHooks hooks[LIFECYCLE_EVENT_COUNT];
        ReleaseUnits units;
        ReleaseHealths health;
        unsigned traffic; /* ReleaseTraffic */
        DocumentEnvironment env;
        char **warnings; /* a strv of sentences: keys that were passed over, and scripts that do not run; NULL: none */
} Appspec;

/* All that may stand in one. */
extern const SchemaType appspec_type;

Appspec *appspec_free(Appspec *appspec);
DEFINE_CLEANUP(Appspec *, appspec_free)
#define _cleanup_appspec_ _cleanup_(appspec_freep)

/* NAME is for messages ("appspec.yml"). -EBADMSG with FAULT_INPUT. */
int appspec_parse(const char *name, const void *data, size_t size, Appspec **ret, Error *error);

/* A release of this app without artifacts yet: add them with release_add_artifact(), then release_to_json() checks it all.
 * CREATED is microseconds since 1970. Moves the sections: APPSPEC is empty afterwards. */
int appspec_compile(Appspec *appspec, const char *app, const char *version, uint64_t created, Release **ret,
                    Error *error);
