#pragma once

/* The body of a request while it is sent: a copy in memory or a part of a file, read in order, begun again where curl has
 * to. Only http.c uses it. */

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "agent/base/error.h"
#include "agent/net/http.h"

typedef struct HttpUpload {
        uint8_t *data; /* NULL: FD */
        int fd;
        uint64_t size, offset, sent;
        unsigned resends;
        HttpProgress progress;
        void *progress_userdata;
} HttpUpload;

int http_upload_init(HttpUpload *upload, const HttpRequest *request, Error *error);
void http_upload_deinit(HttpUpload *upload); /* wipes what is in memory */

/* At most SIZE of the bytes that follow; 0 at the end. -EIO. */
ssize_t http_upload_read(HttpUpload *upload, char *buffer, size_t size, Error *error);

/* Begins again at OFFSET. -EINVAL beyond the end. */
int http_upload_seek(HttpUpload *upload, uint64_t offset);
