#pragma once

/* A growable run of bytes with a limit. The bytes are always followed by a zero byte that does not count, so that
 * text can be read as a string. Zero-initialised is empty; memory grows by doubling. */

#include <stdbool.h>
#include <stddef.h>

#include "agent/base/cleanup.h"

typedef struct Buffer {
        uint8_t *data; /* NULL while empty */
        size_t size;
        size_t allocated;
} Buffer;

void buffer_deinit(Buffer *buffer);

/* Makes room for SIZE bytes in all (and the zero byte). -ENOMEM. */
int buffer_reserve(Buffer *buffer, size_t size);

/* Adds bytes; -E2BIG, and nothing added, if the buffer would then hold more than LIMIT bytes. -ENOMEM. */
int buffer_append(Buffer *buffer, const void *data, size_t size, size_t limit);

/* Adds formatted text. -ENOMEM. */
int buffer_printf(Buffer *buffer, const char *format, ...) _printf_(2, 3);

/* Forgets the content, keeps the memory. */
void buffer_clear(Buffer *buffer);

/* Drops whole lines from the beginning until at most SIZE bytes are left; of one that is longer, its beginning. */
void buffer_keep_end(Buffer *buffer, size_t size);

/* The content as a string, "" while empty; belongs to the buffer. */
const char *buffer_string(const Buffer *buffer);

/* Hands over the content (never NULL on success) and leaves the buffer empty. -ENOMEM. */
int buffer_steal(Buffer *buffer, char **ret_data, size_t *ret_size);

#define _cleanup_buffer_ _cleanup_(buffer_deinit)
