#include <string.h>

#include "agent/base/strv.h"
#include "artifacts/file_source.h"
#include "artifacts/tree_manifest.h"

#define LINKS_MAX 40U /* as the kernel has it */

typedef struct Link {
        char *path;
        char *target;
} Link;

typedef struct Tree {
        Link *links;
        size_t n, allocated;
} Tree;

static void tree_deinit(Tree *tree) {
        for (size_t i = 0; i < tree->n; i++) {
                free(tree->links[i].path);
                free(tree->links[i].target);
        }
        free(tree->links);
}

static int add_link(Tree *tree, const TreeEntry *entry) {
        if (tree->n == tree->allocated) {
                size_t allocated = tree->allocated > 0 ? tree->allocated * 2 : 16;
                Link *links = reallocarray(tree->links, allocated, sizeof(*links));

                if (!links)
                        return -ENOMEM;
                tree->links = links;
                tree->allocated = allocated;
        }
        tree->links[tree->n++] = (Link){ .path = strdup(entry->path), .target = strdup(entry->target) };
        return tree->links[tree->n - 1].path && tree->links[tree->n - 1].target ? 0 : -ENOMEM;
}

/* VISIT each entry until it does not return 0. */
static int visit_all(const void *manifest, size_t size, int (*visit)(const TreeEntry *entry, void *userdata),
                     void *userdata, Error *error) {
        _cleanup_free_ TreeReader *reader = calloc(1, sizeof(*reader));
        TreeEntry entry;
        int r;

        if (!reader)
                return error_oom(error);
        reader->data = manifest;
        reader->size = size;
        while ((r = tree_reader_next(reader, &entry, error)) > 0) {
                r = visit(&entry, userdata);
                if (r != 0)
                        return r == -ENOMEM ? error_oom(error) : r;
        }
        return r;
}

static int keep_link(const TreeEntry *entry, void *userdata) {
        return entry->type == ENTRY_LINK ? add_link(userdata, entry) : 0;
}

static int is_that_folder(const TreeEntry *entry, void *userdata) {
        return entry->type == ENTRY_FOLDER && strcmp(entry->path, userdata) == 0;
}

/* The link that is PATH or that PATH leads through: nothing lies beneath a link, so there is one at most. */
static const Link *find_link(const Tree *tree, const char *path, size_t *ret_length) {
        for (size_t i = 0; i < tree->n; i++) {
                size_t n = strlen(tree->links[i].path);

                if (strncmp(path, tree->links[i].path, n) == 0 && (!path[n] || path[n] == '/')) {
                        *ret_length = n;
                        return tree->links + i;
                }
        }
        return NULL;
}

/* Appends the parts of PATH to what is in RESULT, which is a path without links. */
static void walk(char *result, const char *path) {
        for (size_t n; *(path += strspn(path, "/")); path += n) {
                char *slash = strrchr(result, '/'), *end = result + strlen(result);

                n = strcspn(path, "/");
                if (n == 1 && path[0] == '.')
                        continue;
                if (n == 2 && path[0] == '.' && path[1] == '.') {
                        *(slash ?: result) = '\0';
                        continue;
                }
                if (end > result)
                        *end++ = '/';
                memcpy(end, path, n);
                end[n] = '\0';
        }
}

/* PATH with the target in place of the link, whose path are its first LENGTH bytes. */
static char *follow(const Link *link, const char *path, size_t length) {
        char *result = calloc(1, strlen(path) + strlen(link->target) + 2), *slash;

        if (!result)
                return NULL;
        memcpy(result, path, length);
        slash = strrchr(result, '/');
        *(slash ?: result) = '\0';
        walk(result, link->target);
        walk(result, path + length);
        return result;
}

/* Where SOURCE leads; *RET_LINK is the path of the link that it comes to first where all of it is one, else NULL. */
static int resolve(const Tree *tree, const char *source, char **ret, char **ret_link) {
        _cleanup_free_ char *path = strdup(source), *last = NULL;
        const Link *link;
        size_t length;

        for (unsigned i = 0; path && i < LINKS_MAX && (link = find_link(tree, path, &length)); i++) {
                char *next = follow(link, path, length);

                if (!path[length] && !last)
                        last = path;
                else
                        free(path);
                path = next;
        }
        if (!path)
                return -ENOMEM;
        *ret = TAKE_PTR(path);
        *ret_link = TAKE_PTR(last);
        return 0;
}

static int resolve_source(const Tree *tree, ReleaseFile *file, const void *manifest, size_t size,
                          Error *error) {
        _cleanup_free_ char *path = NULL, *link = NULL;
        int r;

        if (resolve(tree, file->source, &path, &link) < 0)
                return error_oom(error);
        r = link && *path ? visit_all(manifest, size, is_that_folder, path, error) : 1;
        if (r < 0)
                return r;
        return string_set(&file->source, r > 0 ? path : link) < 0 ? error_oom(error) : 0;
}

int file_source_resolve(ReleaseFiles *files, const void *manifest, size_t size, Error *error) {
        _cleanup_(tree_deinit) Tree tree = {};
        int r;

        r = visit_all(manifest, size, keep_link, &tree, error);
        for (size_t i = 0; i < files->n && r >= 0 && tree.n > 0; i++)
                r = resolve_source(&tree, files->items + i, manifest, size, error);
        return r;
}
