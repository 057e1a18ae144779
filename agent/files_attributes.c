#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/posix_acl.h>
#include <linux/posix_acl_xattr.h>
#include <linux/xattr.h>
#include <string.h>
#include <sys/xattr.h>

#include "agent/base/hex.h"
#include "agent/base/strv.h"
#include "agent/files_attributes.h"
#include "agent/files_rights.h"

#define ENTRIES_MAX (RELEASE_ACLS_MAX + 4U) /* the owner, the group, the mask, others */
#define LABEL_MAX 1024U
#define SELINUX_FILE "/sys/fs/selinux/enforce"

static const char *const names[FILES_ATTRIBUTES] = {
        [FILES_ATTRIBUTE_ACCESS] = XATTR_NAME_POSIX_ACL_ACCESS,
        [FILES_ATTRIBUTE_DEFAULT] = XATTR_NAME_POSIX_ACL_DEFAULT,
        [FILES_ATTRIBUTE_CONTEXT] = XATTR_NAME_SELINUX,
};

void files_attributes_deinit(FilesAttributes *attributes) {
        for (size_t i = 0; i < FILES_ATTRIBUTES; i++)
                free(attributes->values[i]);
        *attributes = (FilesAttributes){};
}

bool files_attributes_equal(const FilesAttributes *a, const FilesAttributes *b) {
        for (size_t i = 0; i < FILES_ATTRIBUTES; i++)
                if (!string_equal(a->values[i], b->values[i]))
                        return false;
        return true;
}

static int to_hex(const void *data, size_t size, char **ret) {
        *ret = malloc(2 * size + 1);
        if (!*ret)
                return -ENOMEM;
        hex_encode(data, size, *ret);
        return 0;
}

/* Access control lists */

typedef struct Acl {
        struct posix_acl_xattr_entry entries[ENTRIES_MAX];
        size_t n;
} Acl;

/* As the kernel has it. */
typedef struct AclValue {
        struct posix_acl_xattr_header header;
        struct posix_acl_xattr_entry entries[ENTRIES_MAX];
} AclValue;

static const struct posix_acl_xattr_entry *find(const Acl *acl, unsigned tag) {
        for (size_t i = 0; i < acl->n; i++)
                if (le16toh(acl->entries[i].e_tag) == tag)
                        return acl->entries + i;
        return NULL;
}

static void add(Acl *acl, unsigned tag, unsigned permissions, uint32_t id) {
        if (acl->n < ENTRIES_MAX)
                acl->entries[acl->n++] = (struct posix_acl_xattr_entry){
                        .e_tag = htole16((uint16_t) tag),
                        .e_perm = htole16((uint16_t) permissions),
                        .e_id = htole32(id),
                };
}

static unsigned tag_of(const AclEntry *entry) {
        switch (entry->tag) {
        case ACL_TAG_USER:
                return *entry->name ? ACL_USER : ACL_USER_OBJ;
        case ACL_TAG_GROUP:
                return *entry->name ? ACL_GROUP : ACL_GROUP_OBJ;
        case ACL_TAG_MASK:
                return ACL_MASK;
        default:
                return ACL_OTHER;
        }
}

static int add_named(Acl *acl, const ReleasePermission *permission, bool is_default, Error *error) {
        for (size_t i = 0; i < permission->acls.n; i++) {
                uint32_t id = (uint32_t) ACL_UNDEFINED_ID;
                AclEntry entry;
                int r = 0;

                if (acl_entry_parse(permission->acls.items[i], &entry) < 0 || entry.is_default != is_default)
                        continue;
                if (*entry.name && entry.tag == ACL_TAG_USER)
                        r = files_rights_find_user(permission, entry.name, &id, error);
                else if (*entry.name)
                        r = files_rights_find_group(permission, entry.name, &id, error);
                if (r < 0)
                        return r;
                add(acl, tag_of(&entry), entry.permissions, id);
        }
        return 0;
}

/* The kernel wants them in this order. */
static int compare_entries(const void *a, const void *b) {
        const struct posix_acl_xattr_entry *x = a, *y = b;
        int order = (int) le16toh(x->e_tag) - (int) le16toh(y->e_tag);

        if (order != 0)
                return order;
        return le32toh(x->e_id) < le32toh(y->e_id) ? -1 : le32toh(x->e_id) > le32toh(y->e_id);
}

static void add_if_missing(Acl *acl, unsigned tag, unsigned permissions) {
        if (!find(acl, tag))
                add(acl, tag, permissions & 7U, (uint32_t) ACL_UNDEFINED_ID);
}

static int check_twice(const Acl *acl, const ReleasePermission *permission, Error *error) {
        for (size_t i = 1; i < acl->n; i++)
                if (compare_entries(acl->entries + i - 1, acl->entries + i) == 0)
                        return error_set_fault(error, -EINVAL, FAULT_RELEASE,
                                               "permissions: %s: two entries of acls are about the same",
                                               permission->object);
        return 0;
}

static int encode(const Acl *acl, char **ret) {
        AclValue value = { .header.a_version = htole32(POSIX_ACL_XATTR_VERSION) };

        memcpy(value.entries, acl->entries, acl->n * sizeof(*acl->entries));
        return to_hex(&value, sizeof(value.header) + acl->n * sizeof(*acl->entries), ret);
}

static int make_acl(const ReleasePermission *permission, mode_t mode, bool is_default, char **ret,
                    Error *error) {
        Acl acl = {};
        int r;

        r = add_named(&acl, permission, is_default, error);
        if (r < 0 || acl.n == 0)
                return r;
        add_if_missing(&acl, ACL_USER_OBJ, mode >> 6);
        add_if_missing(&acl, ACL_GROUP_OBJ, mode >> 3);
        add_if_missing(&acl, ACL_OTHER, mode);
        if (find(&acl, ACL_USER) || find(&acl, ACL_GROUP))
                add_if_missing(&acl, ACL_MASK, le16toh(find(&acl, ACL_GROUP_OBJ)->e_perm));
        qsort(acl.entries, acl.n, sizeof(*acl.entries), compare_entries);
        r = check_twice(&acl, permission, error);
        return r < 0 ? r : encode(&acl, ret) < 0 ? error_oom(error) : 0;
}

/* What is there; without one, or where the file system has none, a list with no entries. */
static int read_acl(int fd, FilesAttribute which, Acl *ret) {
        AclValue value;
        ssize_t n = fgetxattr(fd, names[which], &value, sizeof(value));

        if (n < 0)
                return errno == ENODATA || errno == EOPNOTSUPP ? 0 : -errno;
        if ((size_t) n < sizeof(value.header))
                return -EBADMSG;
        ret->n = ((size_t) n - sizeof(value.header)) / sizeof(*value.entries);
        memcpy(ret->entries, value.entries, ret->n * sizeof(*value.entries));
        return 0;
}

/* Where there is a mask, chmod(2) sets these. */
static bool is_of_mode(const struct posix_acl_xattr_entry *entry) {
        unsigned tag = le16toh(entry->e_tag);

        return tag == ACL_USER_OBJ || tag == ACL_MASK || tag == ACL_OTHER;
}

bool files_attributes_are_inherited(int fd, int folder) {
        Acl found = {}, wanted = {};

        if (read_acl(fd, FILES_ATTRIBUTE_ACCESS, &found) < 0 ||
            read_acl(folder, FILES_ATTRIBUTE_DEFAULT, &wanted) < 0)
                return false;
        if (!find(&wanted, ACL_MASK)) /* it names nobody, and comes to a mode */
                wanted.n = 0;
        if (found.n != wanted.n)
                return false;
        for (size_t i = 0; i < found.n; i++) {
                const struct posix_acl_xattr_entry *a = found.entries + i, *b = wanted.entries + i;

                if (a->e_tag != b->e_tag || a->e_id != b->e_id || (a->e_perm != b->e_perm && !is_of_mode(b)))
                        return false;
        }
        return true;
}

/* Labels: "user:role:type:range" */

int files_attributes_check(const ReleasePermissions *permissions, Error *error) {
        for (size_t i = 0; i < permissions->n; i++)
                if (permissions->items[i].context.type && access(SELINUX_FILE, F_OK) < 0)
                        return error_set_fault(
                                error, -EOPNOTSUPP, FAULT_RELEASE,
                                "permissions[%zu].context: %s is to have an SELinux label, and this "
                                "instance has no SELinux",
                                i, permissions->items[i].object);
        return 0;
}

static int make_label(const ReleaseContext *context, int fd, char **ret, Error *error) {
        char now[LABEL_MAX] = "", label[2 * LABEL_MAX], *rest = now, *parts[4] = {};
        ssize_t n;

        n = fgetxattr(fd, names[FILES_ATTRIBUTE_CONTEXT], now, sizeof(now) - 1);
        if (n < 0 && errno != ENODATA)
                return error_set_errno(error, -errno, "cannot read an SELinux label");
        for (size_t i = 0; i < ELEMENTSOF(parts) && rest; i++)
                parts[i] = i < 3 ? strsep(&rest, ":") : rest;
        n = snprintf(label, sizeof(label), "%s:%s:%s:%s",
                     context->user ?: (parts[0] && *parts[0] ? parts[0] : "system_u"), parts[1] ?: "object_r",
                     context->type, context->range ?: (parts[3] ?: "s0"));
        return to_hex(label, (size_t) n + 1, ret) < 0 ? error_oom(error) : 0;
}

int files_attributes_make(const ReleasePermission *permission, mode_t mode, int fd, FilesAttributes *ret,
                          Error *error) {
        _cleanup_files_attributes_ FilesAttributes attributes = {};
        int r = 0;

        if (permission && permission->acls.n > 0) {
                r = make_acl(permission, mode, false, &attributes.values[FILES_ATTRIBUTE_ACCESS], error);
                if (r >= 0)
                        r = make_acl(permission, mode, true, &attributes.values[FILES_ATTRIBUTE_DEFAULT],
                                     error);
        }
        if (r >= 0 && permission && permission->context.type)
                r = make_label(&permission->context, fd, &attributes.values[FILES_ATTRIBUTE_CONTEXT], error);
        if (r < 0)
                return r;
        *ret = attributes;
        attributes = (FilesAttributes){};
        return 0;
}

/* The kernel */

static int read_one(int fd, const char *name, char **ret) {
        uint8_t value[FILES_ATTRIBUTE_SIZE_MAX];
        ssize_t n = fgetxattr(fd, name, value, sizeof(value));

        if (n >= 0)
                return to_hex(value, (size_t) n, ret);
        if (errno != ENODATA && errno != EOPNOTSUPP)
                return -errno;
        return string_set(ret, FILES_ATTRIBUTE_NONE);
}

int files_attributes_read(int fd, const FilesAttributes *wanted, FilesAttributes *ret) {
        _cleanup_files_attributes_ FilesAttributes attributes = {};
        int r = 0;

        for (size_t i = 0; i < FILES_ATTRIBUTES && r >= 0; i++)
                if (wanted->values[i])
                        r = read_one(fd, names[i], &attributes.values[i]);
        if (r < 0)
                return r;
        *ret = attributes;
        attributes = (FilesAttributes){};
        return 0;
}

static int set_one(int fd, const char *name, const char *hex) {
        uint8_t value[FILES_ATTRIBUTE_SIZE_MAX];
        size_t size = strlen(hex) / 2;

        if (strcmp(hex, FILES_ATTRIBUTE_NONE) == 0)
                return fremovexattr(fd, name) < 0 && errno != ENODATA && errno != EOPNOTSUPP ? -errno : 0;
        if (size > sizeof(value) || hex_decode(hex, value, size) < 0)
                return -EINVAL;
        return fsetxattr(fd, name, value, size, 0) < 0 ? -errno : 0;
}

int files_attributes_set(int fd, const FilesAttributes *attributes) {
        int r = 0;

        for (size_t i = 0; i < FILES_ATTRIBUTES && r >= 0; i++)
                if (attributes->values[i])
                        r = set_one(fd, names[i], attributes->values[i]);
        return r;
}
