#include <errno.h>
#include <string.h>

#include "agent/base/cleanup.h"
#include "agent/base/strv.h"
#include "artifacts/acl_entry.h"
#include "artifacts/document.h"

#define PARTS_MAX 4U

static int parse_tag(const char *text, AclTag *ret) {
        static const struct {
                const char *name;
                AclTag tag;
        } tags[] = {
                { "u", ACL_TAG_USER },      { "user", ACL_TAG_USER },   { "g", ACL_TAG_GROUP },
                { "group", ACL_TAG_GROUP }, { "m", ACL_TAG_MASK },      { "mask", ACL_TAG_MASK },
                { "o", ACL_TAG_OTHER },     { "other", ACL_TAG_OTHER },
        };

        for (size_t i = 0; i < ELEMENTSOF(tags); i++)
                if (strcmp(tags[i].name, text) == 0) {
                        *ret = tags[i].tag;
                        return 0;
                }
        return -EINVAL;
}

static int parse_permissions(const char *text, unsigned *ret) {
        static const char letters[] = "xwr";
        unsigned permissions = 0;

        if (text[0] >= '0' && text[0] <= '7' && text[1] == '\0') {
                *ret = (unsigned) (text[0] - '0');
                return 0;
        }
        if (!*text)
                return -EINVAL;
        for (; *text; text++) {
                const char *letter = strchr(letters, *text);

                if (letter)
                        permissions |= 1U << (letter - letters);
                else if (*text != '-')
                        return -EINVAL;
        }
        *ret = permissions;
        return 0;
}

/* Splits in place; how many parts, 0 for too many. */
static size_t split(char *text, char *parts[static PARTS_MAX]) {
        size_t n = 0;

        for (char *part; (part = strsep(&text, ":"));) {
                if (n == PARTS_MAX)
                        return 0;
                parts[n++] = part;
        }
        return n;
}

/* "u", "bob" of "u:bob:rw"; "bob" alone is a user, and "m" and "o" need no name. */
static int parse_whom(char *const parts[], size_t n, AclEntry *entry) {
        const char *name = "";
        int r;

        if (n == 1) {
                r = parse_tag(parts[0], &entry->tag);
                if (r < 0 || entry->tag == ACL_TAG_USER || entry->tag == ACL_TAG_GROUP) {
                        entry->tag = ACL_TAG_USER;
                        name = parts[0];
                }
        } else {
                r = parse_tag(parts[0], &entry->tag);
                if (r < 0)
                        return r;
                name = parts[1];
        }
        if (*name &&
            (entry->tag == ACL_TAG_MASK || entry->tag == ACL_TAG_OTHER || !document_user_is_valid(name)))
                return -EINVAL;
        if (!*name && !entry->is_default && entry->tag != ACL_TAG_MASK)
                return -EINVAL;
        memcpy(entry->name, name, strlen(name) + 1);
        return 0;
}

int acl_entry_parse(const char *text, AclEntry *ret) {
        char copy[ACL_ENTRY_TEXT_MAX + 1], *parts[PARTS_MAX];
        AclEntry entry = {};
        size_t n, first = 0;
        int r;

        if (strlen(text) > ACL_ENTRY_TEXT_MAX)
                return -EINVAL;
        memcpy(copy, text, strlen(text) + 1);
        n = split(copy, parts);
        if (n > 1 && (strcmp(parts[0], "d") == 0 || strcmp(parts[0], "default") == 0)) {
                entry.is_default = true;
                first = 1;
        }
        if (n < first + 2 || n > first + 3)
                return -EINVAL;
        r = parse_whom(parts + first, n - first - 1, &entry);
        if (r >= 0)
                r = parse_permissions(parts[n - 1], &entry.permissions);
        if (r < 0)
                return r;
        *ret = entry;
        return 0;
}
