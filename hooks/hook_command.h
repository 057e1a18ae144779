#pragma once

/* The command line of a hook: the script itself, or what runs it. */

#include "agent/base/error.h"
#include "hooks/hook.h"
#include "hooks/script.h"

/* *RET_ARGV is a new strv; *RET_WARNING is NULL or says what is odd about the script (static text). What is wrong with
 * the script is the release's fault: -ENOENT (the release has no such file), -ENOEXEC (it cannot be run as it is), -E2BIG
 * (too many arguments). */
int hook_command_make(int release_dirfd, const char *release_folder, const HookScript *script,
                      char ***ret_argv, const char **ret_warning, Error *error);

/* What of that can be told without the instance: whether a script of this kind can be run at all (-ENOEXEC), and what is odd
 * about it. Pure. */
int hook_command_judge(const Script *script, bool runnable, const char **ret_warning, Error *error);
