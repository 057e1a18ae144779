#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/file.h"
#include "agent/base/folder.h"
#include "agent/base/strv.h"

int folder_take(int fd, DIR **ret) {
        int r;

        *ret = fdopendir(fd);
        if (*ret)
                return 0;
        r = -errno;
        close_fd(fd);
        return r;
}

int folder_open(int dirfd, const char *path, DIR **ret) {
        int fd = file_open_at(dirfd, path, O_DIRECTORY | O_RDONLY, 0);

        return fd < 0 ? fd : folder_take(fd, ret);
}

int folder_next(DIR *dir, const char **ret_name) {
        const struct dirent *found;

        do {
                errno = 0;
                found = readdir(dir);
                if (!found)
                        return -errno;
        } while (strcmp(found->d_name, ".") == 0 || strcmp(found->d_name, "..") == 0);
        *ret_name = found->d_name;
        return 1;
}

typedef struct Names {
        char **names;
        size_t n, allocated;
} Names;

static int add(Names *names, const char *name) {
        size_t allocated = names->allocated > 0 ? names->allocated * 2 : 16;
        char **grown;

        if (names->n + 1 >= names->allocated) {
                grown = reallocarray(names->names, allocated, sizeof(*grown));
                if (!grown)
                        return -ENOMEM;
                names->names = grown;
                names->allocated = allocated;
        }
        names->names[names->n] = strdup(name);
        if (!names->names[names->n])
                return -ENOMEM;
        names->names[++names->n] = NULL;
        return 0;
}

static int read_names(DIR *dir, Names *names) {
        const char *name = "";
        int r;

        while ((r = folder_next(dir, &name)) > 0) {
                r = add(names, name);
                if (r < 0)
                        return r;
        }
        return r;
}

static int compare_names(const void *a, const void *b) {
        return strcmp(*(char *const *) a, *(char *const *) b);
}

int folder_names(DIR *dir, char ***ret) {
        Names names = {};
        int r;

        r = read_names(dir, &names);
        if (r < 0) {
                strv_free(names.names);
                return r;
        }
        if (names.n > 0)
                qsort(names.names, names.n, sizeof(*names.names), compare_names);
        *ret = names.names;
        return 0;
}
