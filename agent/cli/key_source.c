#include <string.h>

#include "agent/base/file.h"
#include "agent/cli/key_source.h"

#define PEM_BEGIN "-----BEGIN"
#define PEM_PRIVATE "PRIVATE KEY-----"
#define KEY_EXPECTED "expected one Ed25519 key in PEM, private or public"

/* Somebody who put the key itself where its path belongs must not see it printed. */
static int refuse_inline_key(const char *path, Error *error) {
        if (strstr(path, PEM_BEGIN))
                return error_set_fault(error, -EINVAL, FAULT_INPUT,
                                       "a key stands where the path of a key file is expected");
        return 0;
}

/* Tells what kind of key a file holds, so that a public one is not taken to task for its mode. */
static int says_private(const char *path, bool *ret, Error *error) {
        _cleanup_buffer_ Buffer content = {};
        int r;

        r = buffer_reserve(&content,
                           KEY_FILE_SIZE_MAX); /* no copy of a secret stays behind in a smaller one */
        if (r >= 0)
                r = file_read_at(AT_FDCWD, path, KEY_FILE_SIZE_MAX, &content);
        if (r >= 0)
                *ret = strstr(buffer_string(&content), PEM_PRIVATE);
        if (content.data)
                explicit_bzero(content.data, content.size);
        if (r == -E2BIG)
                return error_set_fault(error, -EBADMSG, FAULT_INPUT, "%s: " KEY_EXPECTED, path);
        return r < 0 ? error_set_errno(error, r, "%s", path) : 0;
}

static int load_file(const char *path, bool may_be_public, Key **ret, Error *error) {
        bool private = false;
        int r;

        r = refuse_inline_key(path, error);
        if (r >= 0)
                r = says_private(path, &private, error);
        if (r < 0)
                return r;
        if (private)
                return key_load_private_file(path, ret, error);
        r = key_load_public_file(path, ret, error);
        if (r == -EBADMSG)
                return error_set_fault(error, r, FAULT_INPUT, "%s: " KEY_EXPECTED, path);
        if (r >= 0 && !may_be_public) {
                *ret = key_free(*ret);
                return error_set_fault(error, -EBADMSG, FAULT_INPUT,
                                       "%s is a public key; expected the private one, which signs", path);
        }
        return r;
}

int key_source_private(const char *path, const char *variable, const char *option, Key **ret, Error *error) {
        const char *text = getenv(variable);

        if (path)
                return load_file(path, false, ret, error);
        if (!text || !*text)
                return error_set_fault(
                        error, -ENOKEY, FAULT_INPUT,
                        "no key to sign with: give --%s FILE, or set %s_FILE to a path or %s to the key's PEM text",
                        option, variable, variable);
        return key_load_private_environment(variable, ret, error);
}

int key_source_public(const char *path, Key **ret, Error *error) {
        _cleanup_key_ Key *key = NULL;
        int r;

        r = load_file(path, true, &key, error);
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
                r = load_file(*paths, true, &list->keys[list->n], error);
                if (r < 0)
                        return r;
                list->n++;
        }
        return 0;
}
