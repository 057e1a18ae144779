#pragma once

/* What of a release another deployer has installed, as the list that a deployment of muster's would have written. */

#include "agent/files_list.h"
#include "agent/files_place.h"
#include "artifacts/file_map.h"

/* Looks at each of PATHS (absolute, without ".."), follows links as an installation would, and changes nothing. What
 * is not there any more, is neither file, folder nor link, or lies where nothing may be installed is left out. MAP is
 * finished and says from what of the release a file came. */
int files_adopt_list(char *const *paths, const FileMap *map, const FilesPlaceRules *rules, FilesList *ret,
                     Error *error);
