#pragma once

/* Whether what a release says of `files` and `permissions` fits what is in the bundle. */

#include "agent/cli/bundle.h"

/* BUNDLE is sealed. -EBADMSG with a sentence that names APPSPEC (for messages), line and key. */
int bundle_check_install(const Bundle *bundle, const Release *release, const char *appspec, Error *error);
