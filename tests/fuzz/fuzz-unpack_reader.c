#include <stdlib.h>
#include <string.h>

#include "artifacts/unpack_reader.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define ENTRIES_MAX 200
#define BYTES_MAX (1U << 20)

/* The writer of this test: it makes nothing, and knows what a writer may rely on. */
typedef struct Memory {
        const uint8_t *data;
        size_t size, at;
        EntryTree *tree; /* what has been given */
        uint64_t left;   /* of the file that is being given */
        uint64_t entries, bytes;
} Memory;

static ssize_t read_memory_at(void *userdata, void *data, size_t size, uint64_t offset) {
        const Memory *memory = userdata;
        size_t n = offset >= memory->size ? 0 : MIN(size, memory->size - (size_t) offset);

        if (n > 0)
                memcpy(data, memory->data + offset, n);
        return (ssize_t) n;
}

static ssize_t read_memory(void *userdata, void *data, size_t size) {
        Memory *memory = userdata;
        ssize_t n = read_memory_at(userdata, data, size, memory->at);

        memory->at += (size_t) n;
        return n;
}

static int never(_unused_ const char *path, _unused_ void *userdata, _unused_ Error *error) {
        abort();
}

static void check_entry(const UnpackEntry *entry) {
        char normalised[UNPACK_PATH_MAX + 1];

        if (!*entry->path ||
            entry_name_normalise(entry->path, UNPACK_PATH_DEFAULT, UNPACK_DEPTH_DEFAULT, normalised, NULL) <
                    0 ||
            strcmp(entry->path, normalised) != 0 || (entry->mode & ~ENTRY_MODE_MASK) != 0)
                abort();
        if ((entry->type == ENTRY_LINK || entry->type == ENTRY_HARD_LINK) != (entry->target != NULL))
                abort();
        if (entry->type == ENTRY_LINK && entry_link_check(entry->path, entry->target, NULL) < 0)
                abort();
}

static int get_entry(const UnpackEntry *entry, void *userdata, _unused_ Error *error) {
        Memory *memory = userdata;

        check_entry(entry);
        if (memory->left > 0)
                abort();
        if (entry->type == ENTRY_HARD_LINK && entry_tree_check_file(memory->tree, entry->target, NULL) < 0)
                abort();
        /* Its folder has been given before, and it has not. */
        if (!entry->exists && entry_tree_add(memory->tree, entry->path, entry->type, never, NULL, NULL) != 0)
                abort();
        memory->entries += !entry->exists;
        memory->left = entry->type == ENTRY_FILE ? entry->size : 0;
        return 0;
}

static int get_data(_unused_ const void *data, size_t size, void *userdata, _unused_ Error *error) {
        Memory *memory = userdata;

        if (size == 0 || size > memory->left)
                abort();
        memory->left -= size;
        memory->bytes += size;
        return 0;
}

/* The first byte chooses the format. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        Memory memory = { .data = data + 1, .size = size - 1 };
        const UnpackSource source = { .read = read_memory, .read_at = read_memory_at, .userdata = &memory };
        const UnpackSink sink = { .entry = get_entry, .data = get_data, .userdata = &memory };
        char entry[UNPACK_ENTRY_SHOWN_MAX + 1];
        UnpackCounts counts = {};
        UnpackLimits limits;
        Error error = {};
        int r;

        if (size < 2 || entry_tree_new(UNPACK_ENTRIES_MAX, &memory.tree) < 0)
                return 0;
        limits = unpack_limits((ArchiveFormat) (data[0] % _ARCHIVE_FORMAT_COUNT), size - 1, ENTRIES_MAX,
                               BYTES_MAX);
        limits.decoder_memory_max = 8 << 20;
        r = unpack_read(&limits, &source, &sink, &counts, entry, &error);
        if (r >= 0 && (memory.left > 0 || counts.entries != memory.entries || counts.bytes != memory.bytes ||
                       counts.entries > ENTRIES_MAX || counts.bytes > BYTES_MAX))
                abort();
        if (r < 0 && (!*error.message || !entry_text_is_valid(entry, strlen(entry))))
                abort();
        entry_tree_free(memory.tree);
        return 0;
}
