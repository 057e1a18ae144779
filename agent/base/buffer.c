#include <stdarg.h>
#include <string.h>

#include "agent/base/buffer.h"

#define BUFFER_FIRST_SIZE 256U

void buffer_deinit(Buffer *buffer) {
        if (!buffer)
                return;
        free(buffer->data);
        *buffer = (Buffer){};
}

int buffer_reserve(Buffer *buffer, size_t size) {
        size_t wanted = MAX(buffer->allocated, (size_t) BUFFER_FIRST_SIZE);
        uint8_t *data;

        if (size < buffer->allocated)
                return 0;
        if (size >= SIZE_MAX / 2)
                return -ENOMEM;
        while (wanted < size + 1)
                wanted *= 2;
        data = realloc(buffer->data, wanted);
        if (!data)
                return -ENOMEM;
        data[buffer->size] = 0;
        buffer->data = data;
        buffer->allocated = wanted;
        return 0;
}

int buffer_append(Buffer *buffer, const void *data, size_t size, size_t limit) {
        int r;

        if (buffer->size > limit || size > limit - buffer->size)
                return -E2BIG;
        if (size == 0)
                return 0;
        r = buffer_reserve(buffer, buffer->size + size);
        if (r < 0)
                return r;
        memcpy(buffer->data + buffer->size, data, size);
        buffer->size += size;
        buffer->data[buffer->size] = 0;
        return 0;
}

int buffer_printf(Buffer *buffer, const char *format, ...) {
        _cleanup_free_ char *text = NULL;
        va_list arguments;
        int n;

        va_start(arguments, format);
        n = vasprintf(&text, format, arguments);
        va_end(arguments);
        if (n < 0) {
                text = NULL;
                return -ENOMEM;
        }
        return buffer_append(buffer, text, (size_t) n, SIZE_MAX);
}

void buffer_clear(Buffer *buffer) {
        buffer->size = 0;
        if (buffer->data)
                buffer->data[0] = 0;
}

void buffer_keep_end(Buffer *buffer, size_t size) {
        size_t from = buffer->size > size ? buffer->size - size : 0;
        const uint8_t *line;

        if (from == 0)
                return;
        if (buffer->data[from - 1] != '\n') {
                line = memchr(buffer->data + from, '\n', size);
                if (line && line + 1 < buffer->data + buffer->size)
                        from = (size_t) (line - buffer->data) + 1;
        }
        while (from < buffer->size && (buffer->data[from] & 0xc0) == 0x80) /* the rest of a character */
                from++;
        memmove(buffer->data, buffer->data + from, buffer->size - from + 1);
        buffer->size -= from;
}

const char *buffer_string(const Buffer *buffer) {
        return buffer->data ? (const char *) buffer->data : "";
}

int buffer_steal(Buffer *buffer, char **ret_data, size_t *ret_size) {
        int r;

        r = buffer_reserve(buffer, buffer->size);
        if (r < 0)
                return r;
        *ret_data = (char *) buffer->data;
        if (ret_size)
                *ret_size = buffer->size;
        *buffer = (Buffer){};
        return 0;
}
