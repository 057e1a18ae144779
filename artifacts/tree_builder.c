#include <string.h>

#include "artifacts/tree_builder.h"

typedef struct Item {
        TreeEntry entry; /* its texts are the builder's; of a hard link TARGET is the file's path */
        size_t number;   /* in the archive */
} Item;

struct TreeBuilder {
        Item *items;
        size_t n, allocated;
        DigestContext *digest;
        bool open; /* the last item is a file whose bytes still come */
};

int tree_builder_new(TreeBuilder **ret) {
        _cleanup_(tree_builder_freep) TreeBuilder *builder = calloc(1, sizeof(*builder));

        if (!builder || digest_new(&builder->digest) < 0)
                return -ENOMEM;
        *ret = TAKE_PTR(builder);
        return 0;
}

TreeBuilder *tree_builder_free(TreeBuilder *builder) {
        if (!builder)
                return NULL;
        for (size_t i = 0; i < builder->n; i++) {
                free((char *) builder->items[i].entry.path);
                free((char *) builder->items[i].entry.target);
        }
        free(builder->items);
        digest_free(builder->digest);
        free(builder);
        return NULL;
}

static int close_file(TreeBuilder *builder) {
        if (!builder->open)
                return 0;
        builder->open = false;
        return digest_final(builder->digest, builder->items[builder->n - 1].entry.sha256);
}

static int grow(TreeBuilder *builder) {
        size_t allocated = builder->allocated > 0 ? builder->allocated * 2 : 64;
        Item *items;

        if (builder->n < builder->allocated)
                return 0;
        items = reallocarray(builder->items, allocated, sizeof(*items));
        if (!items)
                return -ENOMEM;
        builder->items = items;
        builder->allocated = allocated;
        return 0;
}

int tree_builder_entry(TreeBuilder *builder, const UnpackEntry *entry) {
        bool linked = entry->type == ENTRY_LINK || entry->type == ENTRY_HARD_LINK;
        Item item = { .entry = { .type = entry->type, .mode = entry->mode, .size = entry->size },
                      .number = builder->n };

        if (close_file(builder) < 0 || grow(builder) < 0)
                return -ENOMEM;
        item.entry.path = strdup(entry->path);
        item.entry.target = linked ? strdup(entry->target) : NULL;
        builder->items[builder->n++] = item;
        builder->open = entry->type == ENTRY_FILE;
        return item.entry.path && (item.entry.target || !linked) ? 0 : -ENOMEM;
}

int tree_builder_data(TreeBuilder *builder, const void *data, size_t size) {
        return digest_update(builder->digest, data, size);
}

static int compare_items(const void *a, const void *b) {
        const Item *x = a, *y = b;
        int order = tree_path_compare(x->entry.path, y->entry.path);

        return order != 0 ? order : x->number < y->number ? -1 : 1;
}

static int compare_path(const void *path, const void *item) {
        return tree_path_compare(path, ((const Item *) item)->entry.path);
}

/* The file that a hard link is another name of, perhaps by way of others: each was there before the one that names it. */
static const Item *find_file(const TreeBuilder *builder, const Item *item) {
        while (item && item->entry.type == ENTRY_HARD_LINK) {
                const Item *next =
                        bsearch(item->entry.target, builder->items, builder->n, sizeof(*item), compare_path);

                item = next && next->number < item->number ? next : NULL;
        }
        return item;
}

static int write_item(const TreeBuilder *builder, const Item *item, Buffer *line) {
        TreeEntry entry = item->entry;
        const Item *file;

        if (entry.type == ENTRY_HARD_LINK) {
                file = find_file(builder, item);
                if (!file || file->entry.type != ENTRY_FILE)
                        return -EBADMSG;
                entry = file->entry;
                entry.path = item->entry.path;
        }
        return tree_entry_write(&entry, line);
}

/* Of a folder that was implied at first, the line that the archive has for it later counts. */
static bool is_superseded(const TreeBuilder *builder, size_t i) {
        return i + 1 < builder->n &&
               strcmp(builder->items[i].entry.path, builder->items[i + 1].entry.path) == 0;
}

static int add_text(TreeBuilder *builder, const Buffer *line, Buffer *text) {
        int r = digest_update(builder->digest, line->data, line->size);

        return r >= 0 && text ? buffer_append(text, line->data, line->size, SIZE_MAX) : r;
}

int tree_builder_finish(TreeBuilder *builder, Buffer *text, uint8_t ret_sha256[static DIGEST_SIZE]) {
        _cleanup_buffer_ Buffer line = {};
        int r;

        r = close_file(builder);
        if (r >= 0)
                r = buffer_printf(&line, "%s", TREE_MANIFEST_HEADER);
        if (r >= 0)
                r = add_text(builder, &line, text);
        if (builder->n > 0)
                qsort(builder->items, builder->n, sizeof(*builder->items), compare_items);
        for (size_t i = 0; i < builder->n && r >= 0; i++) {
                if (is_superseded(builder, i))
                        continue;
                buffer_clear(&line);
                r = write_item(builder, &builder->items[i], &line);
                if (r >= 0)
                        r = add_text(builder, &line, text);
        }
        return r < 0 ? r : digest_final(builder->digest, ret_sha256);
}
