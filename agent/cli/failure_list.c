#include <stdlib.h>
#include <string.h>

#include "agent/base/strv.h"
#include "agent/cli/failure_list.h"
#include "artifacts/layout.h"

#define SHA256_LENGTH 64U

/* <prefix><sha256>/<instance>.json */
static bool find_instance(const char *key, const char *prefix, char ret[static LAYOUT_KEY_MAX]) {
        char folder[LAYOUT_KEY_MAX];
        size_t n = strlen(prefix) + SHA256_LENGTH + 1;

        if (!string_starts_with(key, prefix) || strlen(key) <= n || n >= sizeof(folder))
                return false;
        memcpy(folder, key, n);
        folder[n] = '\0';
        return folder[n - 1] == '/' && layout_document_name(key, folder, ret) >= 0;
}

static bool is_instance(const char *name, const char *wanted) {
        const char *colon = strrchr(name, ':');

        return strcmp(name, wanted) == 0 || (colon && strcmp(colon + 1, wanted) == 0);
}

static int compare(const void *a, const void *b) {
        const DepotEntry *left = *(const DepotEntry *const *) a, *right = *(const DepotEntry *const *) b;

        if (left->modified != right->modified)
                return left->modified < right->modified ? 1 : -1;
        return strcmp(left->key, right->key);
}

int failure_list_find(const DepotEntry *entries, size_t n, const char *prefix, const char *instance,
                      const DepotEntry ***ret, size_t *ret_n) {
        const DepotEntry **found = calloc(n + 1, sizeof(const DepotEntry *));
        char name[LAYOUT_KEY_MAX];
        size_t n_found = 0;

        if (!found)
                return -ENOMEM;
        for (size_t i = 0; i < n; i++)
                if (find_instance(entries[i].key, prefix, name) && (!instance || is_instance(name, instance)))
                        found[n_found++] = &entries[i];
        qsort(found, n_found, sizeof(const DepotEntry *), compare);
        *ret = found;
        *ret_n = n_found;
        return 0;
}
