#pragma once

/* Variables in the form in which systemd reads them from a file (systemd.exec(5), EnvironmentFile=): in double quotes,
 * where a backslash goes before ", \, ` and $, and line feeds stand for themselves. */

#include "agent/base/buffer.h"
#include "agent/base/error.h"

#define ENVIRONMENT_FILE_MAX (128U * 1024U)

/* Appends one line. -EINVAL for a name that is no variable's, and for a value that systemd would drop without a word: not
 * UTF-8, or with control characters other than tab and line feed. -E2BIG beyond ENVIRONMENT_FILE_MAX. The value
 * stands in no message. */
int environment_file_add(Buffer *buffer, const char *name, const char *value, Error *error);

/* The same for "NAME=value" texts. */
int environment_file_add_all(Buffer *buffer, char *const *assignments, Error *error);

/* Writes BUFFER to RUN_FOLDER/APP/NAME.env, readable by root only, and wipes it. *RET_PATH is new memory. systemd takes the
 * path for a pattern: RUN_FOLDER and NAME must have none of \\ * ? [ in them, names of apps never do. */
int environment_file_write(Buffer *buffer, const char *run_folder, const char *app, const char *name,
                           char **ret_path, Error *error);
