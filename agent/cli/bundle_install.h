#pragma once

/* Whether what a release says of `files` and `permissions` fits what is in the bundle. */

#include "agent/cli/bundle.h"

/* BUNDLE is sealed. Sources that are links to folders become those folders (file_source.h). -EBADMSG with a sentence that
 * names APPSPEC (for messages), line and key. */
int bundle_check_install(const Bundle *bundle, Release *release, const char *appspec, Error *error);
