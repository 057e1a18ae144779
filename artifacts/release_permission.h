#pragma once

/* Who may do what with what a release installs: the section `permissions`, as CodeDeploy has it
 * (https://docs.aws.amazon.com/codedeploy/latest/userguide/reference-appspec-file-structure-permissions.html). An entry is
 * about the file `object`, or, where that is a folder, about what lies in it and not about itself. */

#include "artifacts/acl_entry.h"
#include "artifacts/document.h"

#define RELEASE_PERMISSIONS_MAX 1000U
#define RELEASE_PATTERN_MAX 255U
#define RELEASE_ACLS_MAX 64U

typedef enum ReleaseObjectType {
        RELEASE_OBJECT_FILE,
        RELEASE_OBJECT_DIRECTORY,
} ReleaseObjectType;

typedef struct ReleaseContext {
        char *user; /* NULL: as it is */
        char *type; /* NULL: no context is given */
        char *range;
} ReleaseContext;

typedef struct ReleasePermission {
        char *object;               /* as a destination: release_files.h */
        char *pattern;              /* NULL or "**": all that lies beneath; else a name in it, with "*" */
        SCHEMA_LIST(char *) except; /* names in it, with "*" */
        SCHEMA_LIST(unsigned) type; /* ReleaseObjectType; none: both */
        char *owner, *group;        /* NULL: stays */
        char *mode;                 /* one to four octal digits, NULL: stays */
        SCHEMA_LIST(char *) acls;   /* acl_entry.h */
        ReleaseContext context;
        unsigned line; /* where it stands in an appspec; 0: not known */
} ReleasePermission;

typedef SCHEMA_LIST(ReleasePermission) ReleasePermissions;

extern const SchemaType release_permissions_type;

bool release_permission_has_type(const ReleasePermission *permission, ReleaseObjectType type);
bool release_permission_has_default_acl(const ReleasePermission *permission);

/* Whether it has a pattern or exceptions, which only a folder can have. */
bool release_permission_chooses(const ReleasePermission *permission);

/* Whether what lies at PATH, beneath the object, is meant; the type is not looked at. */
bool release_permission_matches(const ReleasePermission *permission, const char *path);

/* The mode's bits; -1 if none is given. */
int release_permission_mode(const ReleasePermission *permission);
