#pragma once

/* The digest of a tree (tree_manifest.h), made of its archive while that is read: what `muster publish` signs. */

#include "artifacts/tree_manifest.h"
#include "artifacts/unpack_reader.h"

typedef struct TreeBuilder TreeBuilder;

/* -ENOMEM. */
int tree_builder_new(TreeBuilder **ret);
TreeBuilder *tree_builder_free(TreeBuilder *builder);
DEFINE_CLEANUP(TreeBuilder *, tree_builder_free)

/* Takes what unpack_read() gives, in that order. -ENOMEM. */
int tree_builder_entry(TreeBuilder *builder, const UnpackEntry *entry);
int tree_builder_data(TreeBuilder *builder, const void *data, size_t size);

/* After the last entry. Adds the manifest to TEXT (may be NULL). -ENOMEM, -EBADMSG. */
int tree_builder_finish(TreeBuilder *builder, Buffer *text, uint8_t ret_sha256[static DIGEST_SIZE]);
