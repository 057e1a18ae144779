#include <fcntl.h>
#include <openssl/crypto.h>
#include <string.h>

#include "agent/net/http_upload.h"

int http_upload_init(HttpUpload *upload, const HttpRequest *request, Error *error) {
        const HttpBody *body = &request->body;

        *upload = (HttpUpload){ .fd = -1, .size = body->size };
        if (body->size == 0)
                return 0;
        if (!body->data) {
                upload->offset = body->offset;
                upload->progress = request->progress;
                upload->progress_userdata = request->progress_userdata;
                upload->fd = fcntl(body->fd, F_DUPFD_CLOEXEC, 3);
                return upload->fd < 0 ? error_set_errno(error, -errno, "cannot duplicate a descriptor") : 0;
        }
        upload->data = malloc(body->size);
        if (!upload->data)
                return error_oom(error);
        memcpy(upload->data, body->data, body->size);
        return 0;
}

void http_upload_deinit(HttpUpload *upload) {
        if (upload->data)
                OPENSSL_cleanse(upload->data, upload->size);
        free(upload->data);
        close_fd(upload->fd);
        *upload = (HttpUpload){ .fd = -1 };
}

static ssize_t read_file(const HttpUpload *upload, char *buffer, size_t size) {
        ssize_t n;

        do
                n = pread(upload->fd, buffer, size, (off_t) (upload->offset + upload->sent));
        while (n < 0 && errno == EINTR);
        return n;
}

ssize_t http_upload_read(HttpUpload *upload, char *buffer, size_t size, Error *error) {
        size_t wanted = (size_t) MIN((uint64_t) size, upload->size - upload->sent);
        ssize_t n = (ssize_t) wanted;

        if (wanted == 0)
                return 0;
        if (upload->data)
                memcpy(buffer, upload->data + upload->sent, wanted);
        else
                n = read_file(upload, buffer, wanted);
        if (n <= 0)
                return error_set(error, -EIO, "cannot read the body to send: %s",
                                 n < 0 ? strerror(errno) : "the file got shorter");
        upload->sent += (uint64_t) n;
        if (upload->progress)
                upload->progress(upload->sent, upload->size, upload->progress_userdata);
        return n;
}

int http_upload_seek(HttpUpload *upload, uint64_t offset) {
        if (offset > upload->size)
                return -EINVAL;
        upload->sent = offset;
        upload->resends++;
        return 0;
}
