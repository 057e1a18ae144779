#include <stdlib.h>
#include <string.h>

#include "agent/base/cleanup.h"
#include "artifacts/entry_name.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define PATH_SIZE_MAX 200
#define DEPTH_MAX 8

/* Where a link at PATH to TARGET leads, if nothing on the way is another link: never above the root. */
static void walk(const char *path, const char *target) {
        long depth = 0;

        for (const char *p = path; *p; p++)
                depth += *p == '/';
        for (const char *p = target; *p; p += strspn(p, "/")) {
                size_t n = strcspn(p, "/");

                if (n == 2 && memcmp(p, "..", 2) == 0)
                        depth--;
                else if (!(n == 1 && *p == '.'))
                        depth++;
                if (depth < 0)
                        abort();
                p += n;
        }
}

static void check_path(const char *path) {
        char again[PATH_SIZE_MAX + 1];

        if (strlen(path) > PATH_SIZE_MAX || *path == '/' || strstr(path, "//") || strstr(path, "/../") ||
            strncmp(path, "../", 3) == 0 || strcmp(path, "..") == 0)
                abort();
        if (*path && (entry_name_normalise(path, PATH_SIZE_MAX, DEPTH_MAX, again, NULL) < 0 ||
                      strcmp(path, again) != 0))
                abort();
}

/* A name and a target, with a zero byte between them. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_free_ char *text = strndup((const char *) data, size), *path = NULL, *target = NULL;
        char clean[32];

        if (!text)
                return 0;
        path = malloc(strlen(text) + 1);
        target = strlen(text) < size
                         ? strndup((const char *) data + strlen(text) + 1, size - strlen(text) - 1)
                         : strdup("");
        if (!path || !target)
                return 0;
        if (!entry_text_is_valid(clean, entry_text_clean(text, clean, sizeof(clean))))
                abort();
        if (entry_name_normalise(text, PATH_SIZE_MAX, DEPTH_MAX, path, NULL) < 0)
                return 0;
        check_path(path);
        if (*path && entry_link_check(path, target, NULL) >= 0) {
                if (*target == '/')
                        abort();
                walk(path, target);
        }
        return 0;
}
