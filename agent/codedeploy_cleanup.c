#include <limits.h>
#include <string.h>

#include "agent/base/strv.h"
#include "agent/codedeploy_cleanup.h"

/* Of "semanage\0PATH" it is the zero character that ends the word. */
static bool is_context(const char *line, size_t length) {
        static const char mark[] = "semanage";

        return length > sizeof(mark) && memcmp(line, mark, sizeof(mark)) == 0;
}

static bool path_is_plain(const char *path, size_t length) {
        const char *limit = path + length;

        if (length < 2 || length >= PATH_MAX || path[0] != '/' || memchr(path, '\0', length))
                return false;
        for (const char *name = path + 1, *end; name <= limit; name = end + 1) {
                end = memchr(name, '/', (size_t) (limit - name)) ?: limit;
                if (end == name || (end == name + 1 && name[0] == '.') ||
                    (end == name + 2 && memcmp(name, "..", 2) == 0))
                        return false;
        }
        return true;
}

typedef struct PathList {
        char **paths;
        size_t n, room;
} PathList;

static int add_path(PathList *list, const char *path, size_t length) {
        if (list->n + 1 >= list->room) {
                size_t room = MAX(list->room * 2, 64U);
                char **grown = reallocarray(list->paths, room, sizeof(char *));

                if (!grown)
                        return -ENOMEM;
                list->paths = grown;
                list->room = room;
        }
        list->paths[list->n] = strndup(path, length);
        if (!list->paths[list->n])
                return -ENOMEM;
        list->paths[++list->n] = NULL;
        return 0;
}

int codedeploy_cleanup_parse(const void *data, size_t size, char ***ret, size_t *ret_n, Error *error) {
        const char *p = data, *limit = p + size, *end;
        PathList list = {};
        size_t line = 0;
        int r = 0;

        for (; r >= 0 && p < limit && (end = memchr(p, '\n', (size_t) (limit - p))); p = end + 1) {
                size_t length = (size_t) (end - p);

                line++;
                if (is_context(p, length))
                        continue;
                if (!path_is_plain(p, length))
                        r = error_set_fault(error, -EBADMSG, FAULT_HOST,
                                            "line %zu: expected an absolute path without \"..\"", line);
                else if (list.n >= CODEDEPLOY_PATHS_MAX)
                        r = error_set(error, -E2BIG, "more than %u paths", CODEDEPLOY_PATHS_MAX);
                else if (add_path(&list, p, length) < 0)
                        r = error_oom(error);
        }
        if (r < 0) {
                strv_free(list.paths);
                return r;
        }
        *ret = list.paths;
        *ret_n = list.n;
        return 0;
}
