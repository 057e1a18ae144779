#pragma once

/* The files of a bundle that a release names: hooks, unit files, programs of health checks. What could only fail on the
 * instance is said where it is published. */

#include "agent/cli/bundle.h"

/* -ENOENT for one that is not in the bundle, -ENOEXEC for a hook that cannot be run as it is (hooks/script.h: Windows line
 * ends, a byte order mark, …), with a sentence that names APPSPEC (for messages), line and key. What a hook is run in spite
 * of is a warning on standard error, and so is a script that is missing for an event that does not happen. */
int bundle_check_files(const Bundle *bundle, const Release *release, const char *appspec, const Cli *cli,
                       Error *error);
