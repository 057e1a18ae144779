#include <grp.h>
#include <pwd.h>

#include "agent/files_rights.h"

/* getpwnam() and getgrnam() keep their answer in a buffer of their own: this runs in a process with one thread. */

static int fail(const ReleasePermission *permission, const char *what, const char *name, Error *error) {
        if (errno != 0 && errno != ENOENT && errno != ESRCH)
                return error_set_errno(error, -errno, "cannot look up the %s %s", what, name);
        return error_set_fault(error, -ENOENT, FAULT_RELEASE,
                               "permissions: %s: there is no %s %s on this machine", permission->object, what,
                               name);
}

static int set_owner(const ReleasePermission *permission, FilesRights *rights, Error *error) {
        const struct passwd *user;

        errno = 0;
        user = getpwnam(permission->owner);
        if (!user)
                return fail(permission, "user", permission->owner, error);
        rights->uid = user->pw_uid;
        return 0;
}

static int set_group(const ReleasePermission *permission, FilesRights *rights, Error *error) {
        const struct group *group;

        errno = 0;
        group = getgrnam(permission->group);
        if (!group)
                return fail(permission, "group", permission->group, error);
        rights->gid = group->gr_gid;
        return 0;
}

int files_rights_apply(const ReleasePermission *permission, FilesRights *rights, Error *error) {
        int r = 0;

        if (!permission)
                return 0;
        if (permission->mode)
                rights->mode = (mode_t) release_permission_mode(permission);
        if (permission->owner)
                r = set_owner(permission, rights, error);
        if (r >= 0 && permission->group)
                r = set_group(permission, rights, error);
        return r;
}
