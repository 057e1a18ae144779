#include <string.h>

#include "agent/base/strv.h"
#include "agent/cli/key_source.h"

#define PEM_BEGIN "-----BEGIN"

/* Somebody who put the key itself where its path belongs must not see it printed. */
static int refuse_inline_key(const char *path, Error *error) {
        if (strstr(path, PEM_BEGIN))
                return error_set_fault(error, -EINVAL, FAULT_INPUT,
                                       "a key stands where the path of a key file is expected");
        return 0;
}

int key_source_private(const char *path, const char *variable, const char *option, Key **ret, Error *error) {
        const char *text = getenv(variable);
        int r;

        if (path) {
                r = refuse_inline_key(path, error);
                return r < 0 ? r : key_load_private_file(path, ret, error);
        }
        if (!text || !*text)
                return error_set_fault(
                        error, -ENOKEY, FAULT_INPUT,
                        "no key to sign with: give --%s FILE, or set %s_FILE to a path or %s to the key's PEM text",
                        option, variable, variable);
        return key_load_private_environment(variable, ret, error);
}

static int load_either(const char *path, Key **ret, Error *error) {
        int r;

        r = refuse_inline_key(path, error);
        if (r >= 0)
                r = key_load_public_file(path, ret, error);
        if (r != -EBADMSG)
                return r;
        r = key_load_private_file(path, ret, error);
        if (r == -EBADMSG)
                return error_set_fault(error, r, FAULT_INPUT,
                                       "%s: expected one Ed25519 key in PEM, private or public", path);
        return r;
}

int key_source_public(const char *path, Key **ret, Error *error) {
        _cleanup_key_ Key *key = NULL;
        int r;

        r = load_either(path, &key, error);
        return r < 0 ? r : key_from_public_raw(key_public(key), ret, error);
}

void key_list_deinit(KeyList *list) {
        for (size_t i = 0; i < list->n; i++)
                key_free(list->keys[i]);
        list->n = 0;
}

int key_list_load(KeyList *list, char *const *paths, Error *error) {
        for (; paths && *paths; paths++) {
                int r;

                if (list->n >= ELEMENTSOF(list->keys))
                        return error_set_fault(error, -E2BIG, FAULT_INPUT, "more than %u keys", KEY_LIST_MAX);
                r = load_either(*paths, &list->keys[list->n], error);
                if (r < 0)
                        return r;
                list->n++;
        }
        return 0;
}
