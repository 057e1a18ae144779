#pragma once

/* Owners and modes as `permissions` names them, as numbers of this machine. */

#include "agent/files_journal.h"
#include "artifacts/release_permission.h"

/* Changes what PERMISSION (NULL: nothing) says of RIGHTS. -ENOENT, the release's fault, for a user or group that is not
 * there. */
int files_rights_find_user(const ReleasePermission *permission, const char *name, uid_t *ret, Error *error);
int files_rights_find_group(const ReleasePermission *permission, const char *name, gid_t *ret, Error *error);
int files_rights_apply(const ReleasePermission *permission, FilesRights *rights, Error *error);
