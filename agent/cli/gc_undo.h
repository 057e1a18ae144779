#pragma once

/* The documents of releases that are about to be removed: whoever chooses one of them in that very moment has seen it, and no
 * publication would make the same one again. So they are kept in memory until it is known that nobody did. */

#include "artifacts/depot.h"

typedef struct GcDocument {
        const char *key; /* belongs to the list */
        void *body;      /* NULL: it was not there any more */
        size_t size;
} GcDocument;

typedef struct GcUndo {
        GcDocument *items;
        size_t n;
        uint64_t restored, restored_bytes;
} GcUndo;

void gc_undo_deinit(GcUndo *undo);
#define _cleanup_gc_undo_ _cleanup_(gc_undo_deinit)

/* UNDO must be initialised. */
int gc_undo_read(Depot *depot, const DepotEntry *const *victims, size_t n, GcUndo *undo, Error *error);

/* Writes those again that are not there, each of them, whatever becomes of the others. Returns the first failure. */
int gc_undo_write(Depot *depot, GcUndo *undo, Error *error);
