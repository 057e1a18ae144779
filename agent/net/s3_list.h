#pragma once

/* One page of ListObjectsV2's answer. Pure: bytes in, objects out. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/base/error.h"

typedef struct S3Object {
        const char *key;
        const char *etag; /* with its quotes; "" where there is none */
        uint64_t size;
        uint64_t last_modified; /* microseconds since 1970 */
        bool is_prefix;         /* a common prefix of the delimiter: only the key is set */
} S3Object;

/* 0, or a negative errno that ends the listing with it. OBJECT is good for the length of the call. */
typedef int (*S3Each)(const S3Object *object, void *userdata);

/* EACH is called for the page's objects in the order of UTF-8 bytes, then for its common prefixes. RET_NEXT is the token
 * that asks for the next page, NULL after the last one. -EBADMSG with its sentence, -ENOMEM, or what EACH returned. */
int s3_list_parse(const char *text, size_t size, S3Each each, void *userdata, char **ret_next, Error *error);
