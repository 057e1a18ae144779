#pragma once

/* An open file as a depot that holds one value: every key is the file's content, and ranges of it are all
 * that can be asked for. With it what is handed over on the instance (an archive to deploy locally) comes in
 * the same way as what is fetched. */

#include "artifacts/depot.h"

/* FD, a regular file, is duplicated; its offset is not used. NAME takes the place of the URI in messages. */
int depot_open_descriptor(sd_event *event, int fd, const char *name, Depot **ret, Error *error);
