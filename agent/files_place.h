#pragma once

/* Where a path of the file system really leads, without being led astray. A symbolic link on the way is followed only where
 * none but root could have made it: it is root's, and lies in a folder that only root can write to. So /var/www may be a
 * link that the administrator made, and a user who owns a folder below it cannot have root write anywhere else.
 *
 * Refused as well: the kernel's own file systems, and the agent's state. */

#include "agent/base/error.h"

typedef struct FilesPlace {
        int fd;     /* O_PATH of the deepest folder of the path that is there */
        char *path; /* of that folder, without links; "" is the root */
        char *rest; /* what of the path is not there, or is no folder; "" if all of it is a folder */
} FilesPlace;

void files_place_deinit(FilesPlace *place);
#define _cleanup_files_place_ _cleanup_(files_place_deinit)

typedef struct FilesPlaceRules {
        const char *state_dir; /* nothing lies in it */
        /* Whether what lies at the path (without links) is taken away, and so counts as not there. May be NULL. */
        bool (*goes)(const char *path, void *userdata);
        void *userdata;
} FilesPlaceRules;

/* PATH is absolute and has no ".." in it. -EPERM for a link that anybody else could have made, or for a place that is
 * refused: the release's fault where the path is at fault, the host's where the link is. */
int files_place_find(const char *path, const FilesPlaceRules *rules, FilesPlace *ret, Error *error);

/* Opens a folder by a path that has no link in it any more; one that has, by now, is -ELOOP. A descriptor that can be
 * read and synced. */
int files_place_open(const char *path);
