#pragma once

/* The environment that systemd gives musterd: what /etc/muster/environment says and nothing of who asks. Pure but for
 * doctor_environment_enter(). */

#include "agent/base/error.h"

#define DOCTOR_ENVIRONMENT "/etc/muster/environment"
#define DOCTOR_ENVIRONMENT_SIZE_MAX (64U * 1024U)

/* "NAME=VALUE" for each assignment of TEXT, in the notation of EnvironmentFile= (systemd.exec(5)), without continued lines.
 * New memory. -ENOMEM. */
int doctor_environment_parse(const char *text, char ***ret);

/* From now on this process has that environment, and PATH and TERM as before. -ENOENT, -EACCES and others where PATH cannot
 * be read; then nothing has changed. */
int doctor_environment_enter(const char *path, Error *error);
