#include <stdlib.h>
#include <string.h>

#include "agent/net/s3_list.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int on_object(const S3Object *object, void *userdata) {
        unsigned *n = userdata;

        if (!object->key[0] || !object->etag || (object->is_prefix && object->size > 0))
                abort();
        return ++*n == 1000 ? -ECANCELED : 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_free_ char *next = NULL;
        Error error = {};
        unsigned n = 0;
        int r;

        r = s3_list_parse((const char *) data, size, on_object, &n, &next, &error);
        if (r < 0 && r != -ECANCELED && (!error.message[0] || strchr(error.message, '\n')))
                abort();
        if (r < 0 && next)
                abort();
        return 0;
}
