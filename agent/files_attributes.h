#pragma once

/* Access control lists and SELinux labels of files and folders, by descriptor: as extended attributes, which the kernel
 * reads and writes whole (linux/posix_acl_xattr.h; libacl sets a folder's default list by name only). Kept as text, so
 * that a journal can put back what was there. */

#include <stdbool.h>
#include <sys/types.h>

#include "agent/base/error.h"
#include "artifacts/release_permission.h"

typedef enum FilesAttribute {
        FILES_ATTRIBUTE_ACCESS,  /* the access control list */
        FILES_ATTRIBUTE_DEFAULT, /* the one that what is made in a folder begins with */
        FILES_ATTRIBUTE_CONTEXT, /* the SELinux label */
        FILES_ATTRIBUTES,
} FilesAttribute;

#define FILES_ATTRIBUTE_NONE "-"
#define FILES_ATTRIBUTE_SIZE_MAX 4096U

/* The values in hex digits, FILES_ATTRIBUTE_NONE for one that is not there; NULL: stays as it is. */
typedef struct FilesAttributes {
        char *values[FILES_ATTRIBUTES];
} FilesAttributes;

void files_attributes_deinit(FilesAttributes *attributes);
#define _cleanup_files_attributes_ _cleanup_(files_attributes_deinit)

/* What PERMISSION asks for on a file or folder of this MODE, as CodeDeploy does it: the list is what it names, what the
 * mode gives to the owner, the group and others, and a mask of the mode's bits for the group unless it names one; a
 * default list begins with the same. FD is what the label that is there now is read from. -ENOENT, the release's fault, for
 * a user or group that is not there. */
int files_attributes_make(const ReleasePermission *permission, mode_t mode, int fd, FilesAttributes *ret,
                          Error *error);

/* What FD has of those that WANTED sets. */
int files_attributes_read(int fd, const FilesAttributes *wanted, FilesAttributes *ret);

/* Sets or removes them. -EOPNOTSUPP where the file system has none. */
int files_attributes_set(int fd, const FilesAttributes *attributes);

/* Whether the access control list of a file, FD, is what one that is made in FOLDER begins with: nothing but the mode, or what
 * the folder's default list has for others than those that the mode speaks of. */
bool files_attributes_are_inherited(int fd, int folder);

bool files_attributes_equal(const FilesAttributes *a, const FilesAttributes *b);

/* -EOPNOTSUPP, the release's fault, where a label is asked for and the kernel has none. */
int files_attributes_check(const ReleasePermissions *permissions, Error *error);
