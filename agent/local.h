#pragma once

/* A machine without a depot runs what root deploys by hand: its apps are those that were deployed here before. */

#include "agent/config.h"

/* Adds each app that has a deploy record in the state folder to the configuration, as an optional one. */
int local_add_apps(Config *config, int state_fd, Error *error);

/* The apps of which a release is in place although the configuration does not have them; NULL: there are none. */
int local_find_unattended(Config *config, int state_fd, char ***ret, Error *error);
