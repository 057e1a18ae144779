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

int files_rights_find_user(const ReleasePermission *permission, const char *name, uid_t *ret, Error *error) {
        const struct passwd *user;

        errno = 0;
        user = getpwnam(name);
        if (!user)
                return fail(permission, "user", name, error);
        *ret = user->pw_uid;
        return 0;
}

int files_rights_find_group(const ReleasePermission *permission, const char *name, gid_t *ret, Error *error) {
        const struct group *group;

        errno = 0;
        group = getgrnam(name);
        if (!group)
                return fail(permission, "group", name, error);
        *ret = group->gr_gid;
        return 0;
}

int files_rights_apply(const ReleasePermission *permission, FilesRights *rights, Error *error) {
        int r = 0;

        if (!permission)
                return 0;
        if (permission->mode)
                rights->mode = (mode_t) release_permission_mode(permission);
        if (permission->owner)
                r = files_rights_find_user(permission, permission->owner, &rights->uid, error);
        if (r >= 0 && permission->group)
                r = files_rights_find_group(permission, permission->group, &rights->gid, error);
        return r;
}
