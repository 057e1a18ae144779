#include <stdlib.h>
#include <string.h>

#include "artifacts/tree_manifest.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_entry(const TreeEntry *entry, const char *before) {
        if (*entry->path == '/' || !*entry->path || strstr(entry->path, "//") ||
            strstr(entry->path, "/../") || strncmp(entry->path, "../", 3) == 0 ||
            strcmp(entry->path, "..") == 0 || strchr(entry->path, '\n'))
                abort();
        if (tree_path_compare(before, entry->path) >= 0)
                abort();
        if (entry->type == ENTRY_HARD_LINK || (entry->mode & ~ENTRY_MODE_MASK))
                abort();
}

/* What can be read, written again, is the same text. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_free_ TreeReader *reader = calloc(1, sizeof(*reader));
        _cleanup_buffer_ Buffer again = {};
        char before[UNPACK_PATH_MAX + 1] = "";
        TreeEntry entry;
        int r;

        if (!reader)
                return 0;
        reader->data = (const char *) data;
        reader->size = size;
        while ((r = tree_reader_next(reader, &entry, NULL)) > 0) {
                check_entry(&entry, before);
                (void) snprintf(before, sizeof(before), "%s", entry.path);
                if (tree_entry_write(&entry, &again) < 0)
                        return 0;
        }
        if (r == 0 &&
            (size - strlen(TREE_MANIFEST_HEADER) != again.size ||
             (again.size > 0 && memcmp(data + strlen(TREE_MANIFEST_HEADER), again.data, again.size) != 0)))
                abort();
        return 0;
}
