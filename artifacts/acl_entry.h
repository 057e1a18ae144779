#pragma once

/* One entry of an access control list as setfacl(1) and CodeDeploy write it: "u:bob:rw", "default:group::r-x", "m::r",
 * "bob:6". Pure. */

#include <stdbool.h>
#include <stddef.h>

#define ACL_NAME_MAX 32U
#define ACL_ENTRY_TEXT_MAX 64U

typedef enum AclTag {
        ACL_TAG_USER,
        ACL_TAG_GROUP,
        ACL_TAG_MASK,
        ACL_TAG_OTHER,
} AclTag;

typedef struct AclEntry {
        bool is_default; /* of what is made in a folder later */
        AclTag tag;
        char name[ACL_NAME_MAX + 1]; /* "": the owner, or the owning group */
        unsigned permissions;        /* 4 read, 2 write, 1 execute */
} AclEntry;

/* -EINVAL. What is no entry but a mode's (the owner's, the group's, the others', not default) is -EINVAL too: that is for
 * `mode` to say. */
int acl_entry_parse(const char *text, AclEntry *ret);
