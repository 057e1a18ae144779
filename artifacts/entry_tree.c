#include <inttypes.h>
#include <stdbool.h>
#include <string.h>
#include <sys/random.h>

#include "artifacts/entry_tree.h"
#include "artifacts/siphash.h"

#define ROOT 0U
#define SLOTS_MIN 1024U
#define NAMES_MIN 16384U

/* One name in one folder. */
typedef struct Node {
        uint32_t parent;
        uint32_t name; /* where it begins in the names; its length is in front of it, in one byte */
        EntryType type : 8;
        bool implied;
} Node;

struct EntryTree {
        Node *nodes; /* the first is the root */
        uint32_t count, nodes_allocated;
        uint8_t *names;
        uint32_t names_size, names_allocated;
        uint32_t *slots; /* hash table of nodes by parent and name; 0 is a free slot */
        uint32_t slots_count;
        uint64_t entries_max;
        uint8_t key[SIPHASH_KEY_SIZE]; /* whoever makes an archive cannot know what collides */
        uint32_t last_parent;          /* most entries lie beside the one before */
        char *last_path;
        size_t last_length, last_allocated;
};

EntryTree *entry_tree_free(EntryTree *tree) {
        if (!tree)
                return NULL;
        free(tree->nodes);
        free(tree->names);
        free(tree->slots);
        free(tree->last_path);
        free(tree);
        return NULL;
}

int entry_tree_new(uint64_t entries_max, EntryTree **ret) {
        _cleanup_(entry_tree_freep) EntryTree *tree = calloc(1, sizeof(*tree));

        if (!tree)
                return -ENOMEM;
        if (getrandom(tree->key, sizeof(tree->key), 0) != (ssize_t) sizeof(tree->key))
                return -EIO;
        tree->entries_max = entries_max;
        tree->slots_count = SLOTS_MIN;
        tree->slots = calloc(tree->slots_count, sizeof(*tree->slots));
        tree->nodes_allocated = SLOTS_MIN;
        tree->nodes = calloc(tree->nodes_allocated, sizeof(*tree->nodes));
        tree->names_allocated = NAMES_MIN;
        tree->names = malloc(tree->names_allocated);
        if (!tree->slots || !tree->nodes || !tree->names)
                return -ENOMEM;
        tree->nodes[ROOT] = (Node){ .type = ENTRY_FOLDER };
        tree->count = 1;
        *ret = TAKE_PTR(tree);
        return 0;
}

static int refuse(Error *error, const char *reason) {
        return error_set_fault(error, -EBADMSG, FAULT_RELEASE, "%s", reason);
}

static uint32_t slot_of(const EntryTree *tree, uint32_t parent, const char *name, size_t length) {
        uint8_t input[sizeof(parent) + UINT8_MAX];

        memcpy(input, &parent, sizeof(parent));
        memcpy(input + sizeof(parent), name, length);
        return (uint32_t) siphash(input, sizeof(parent) + length, tree->key) & (tree->slots_count - 1);
}

/* The node's number, or 0 and the free slot where it would be. */
static uint32_t find(const EntryTree *tree, uint32_t parent, const char *name, size_t length,
                     uint32_t *ret_slot) {
        uint32_t slot = slot_of(tree, parent, name, length);

        for (;; slot = (slot + 1) & (tree->slots_count - 1)) {
                uint32_t number = tree->slots[slot];
                const Node *node = tree->nodes + number;

                if (number != 0 && node->parent == parent && tree->names[node->name] == length &&
                    memcmp(tree->names + node->name + 1, name, length) == 0)
                        return number;
                if (number == 0) {
                        *ret_slot = slot;
                        return 0;
                }
        }
}

static uint64_t memory_of(uint64_t nodes, uint64_t slots, uint64_t names) {
        return nodes * sizeof(Node) + slots * sizeof(uint32_t) + names;
}

static int grow_slots(EntryTree *tree) {
        uint32_t was = tree->slots_count, *old = tree->slots;

        tree->slots = calloc((size_t) was * 2, sizeof(*tree->slots));
        if (!tree->slots) {
                tree->slots = old;
                return -ENOMEM;
        }
        tree->slots_count = was * 2;
        for (uint32_t i = 0; i < was; i++) {
                const Node *node = tree->nodes + old[i];
                uint32_t slot;

                if (old[i] == 0)
                        continue;
                (void) find(tree, node->parent, (const char *) tree->names + node->name + 1,
                            tree->names[node->name], &slot);
                tree->slots[slot] = old[i];
        }
        free(old);
        return 0;
}

/* Makes room for one more name; memory doubles. */
static int grow(EntryTree *tree, size_t length, Error *error) {
        uint32_t nodes = tree->nodes_allocated, names = tree->names_allocated, slots = tree->slots_count;

        nodes *= tree->count == nodes ? 2 : 1;
        names *= tree->names_size + length + 1 > names ? 2 : 1;
        slots *= tree->count >= slots - slots / 4 ? 2 : 1;
        if (memory_of(nodes, slots, names) > ENTRY_TREE_MEMORY_MAX)
                return error_set_fault(error, -EBADMSG, FAULT_RELEASE,
                                       "the names in the archive take more than %u MiB",
                                       ENTRY_TREE_MEMORY_MAX >> 20);
        if (nodes > tree->nodes_allocated) {
                Node *more = reallocarray(tree->nodes, nodes, sizeof(*more));

                if (!more)
                        return error_oom(error);
                tree->nodes = more;
                tree->nodes_allocated = nodes;
        }
        if (names > tree->names_allocated) {
                uint8_t *more = realloc(tree->names, names);

                if (!more)
                        return error_oom(error);
                tree->names = more;
                tree->names_allocated = names;
        }
        return slots > tree->slots_count && grow_slots(tree) < 0 ? error_oom(error) : 0;
}

static int insert(EntryTree *tree, uint32_t parent, const char *name, size_t length, EntryType type,
                  bool implied, uint32_t *ret, Error *error) {
        uint32_t slot;
        int r;

        if (tree->count > tree->entries_max)
                return error_set_fault(error, -EBADMSG, FAULT_RELEASE,
                                       "with it there are more than %" PRIu64 " entries", tree->entries_max);
        r = grow(tree, length, error);
        if (r < 0)
                return r;
        (void) find(tree, parent, name, length, &slot);
        tree->nodes[tree->count] =
                (Node){ .parent = parent, .name = tree->names_size, .type = type, .implied = implied };
        tree->names[tree->names_size] = (uint8_t) length;
        memcpy(tree->names + tree->names_size + 1, name, length);
        tree->names_size += (uint32_t) length + 1;
        tree->slots[slot] = tree->count;
        *ret = tree->count++;
        return 0;
}

static int remember_parent(EntryTree *tree, const char *path, size_t length, uint32_t parent) {
        if (length > tree->last_allocated) {
                char *more = realloc(tree->last_path, length * 2);

                if (!more)
                        return -ENOMEM;
                tree->last_path = more;
                tree->last_allocated = length * 2;
        }
        if (length > 0)
                memcpy(tree->last_path, path, length);
        tree->last_length = length;
        tree->last_parent = parent;
        return 0;
}

static int call_implied(const char *path, size_t length, EntryTreeImplied implied, void *userdata,
                        Error *error) {
        _cleanup_free_ char *copy = strndup(path, length);

        return copy ? implied(copy, userdata, error) : error_oom(error);
}

/* The folder that holds the entry; folders that are missing on the way are implied. */
static int find_parent(EntryTree *tree, const char *path, size_t length, EntryTreeImplied implied,
                       void *userdata, uint32_t *ret, Error *error) {
        uint32_t parent = ROOT, unused;

        if (length == tree->last_length && (length == 0 || memcmp(path, tree->last_path, length) == 0)) {
                *ret = tree->last_parent;
                return 0;
        }
        for (size_t at = 0; at < length;) {
                const char *slash = memchr(path + at, '/', length - at);
                size_t n = slash ? (size_t) (slash - path) - at : length - at;
                uint32_t node = find(tree, parent, path + at, n, &unused);
                int r = 0;

                if (node == 0) {
                        r = insert(tree, parent, path + at, n, ENTRY_FOLDER, true, &node, error);
                        if (r >= 0 && implied)
                                r = call_implied(path, at + n, implied, userdata, error);
                } else if (tree->nodes[node].type != ENTRY_FOLDER)
                        r = refuse(error, "it lies beneath an entry that is no folder");
                if (r < 0)
                        return r;
                parent = node;
                at += n + 1;
        }
        *ret = parent;
        return remember_parent(tree, path, length, parent) < 0 ? error_oom(error) : 0;
}

int entry_tree_add(EntryTree *tree, const char *path, EntryType type, EntryTreeImplied implied,
                   void *userdata, Error *error) {
        const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
        uint32_t parent, node, unused;
        int r;

        r = find_parent(tree, path, slash ? (size_t) (slash - path) : 0, implied, userdata, &parent, error);
        if (r < 0)
                return r;
        node = find(tree, parent, name, strlen(name), &unused);
        if (node == 0)
                return insert(tree, parent, name, strlen(name), type, false, &node, error);
        if (type != ENTRY_FOLDER || !tree->nodes[node].implied)
                return refuse(error, "there are two entries of that name");
        tree->nodes[node].implied = false;
        return 1;
}

int entry_tree_check_file(EntryTree *tree, const char *path, Error *error) {
        uint32_t node = ROOT, unused;

        for (const char *p = path; *p; p += strspn(p, "/")) {
                size_t n = strcspn(p, "/");

                node = find(tree, node, p, n, &unused);
                if (node == 0)
                        return refuse(error, "it is a hard link to an entry that did not come before it");
                p += n;
        }
        if (tree->nodes[node].type != ENTRY_FILE && tree->nodes[node].type != ENTRY_HARD_LINK)
                return refuse(error, "it is a hard link to an entry that is no file");
        return 0;
}

uint64_t entry_tree_count(const EntryTree *tree) {
        return tree->count - 1;
}
