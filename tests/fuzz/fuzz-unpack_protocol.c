#include <stdlib.h>
#include <string.h>

#include "artifacts/entry_name.h"
#include "artifacts/unpack_protocol.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What is taken for limits is written again as it was read. */
static void try_header(const uint8_t *data) {
        uint8_t again[UNPACK_HEADER_SIZE];
        UnpackLimits limits;

        if (unpack_header_decode(data, &limits, NULL) < 0)
                return;
        if (unpack_header_encode(&limits, again, NULL) < 0 || memcmp(data, again, sizeof(again)) != 0)
                abort();
}

/* What is taken for a reply means the same when it is written and read again, and can be shown. */
static void check_reply(const UnpackReply *reply) {
        char line[UNPACK_LINE_MAX];
        UnpackReply again;
        Error error = {};

        unpack_reply_encode(reply, line);
        if (unpack_reply_decode(line, strlen(line) - 1, &again) < 0 || again.type != reply->type ||
            again.entries != reply->entries || again.bytes != reply->bytes || again.fault != reply->fault ||
            strcmp(again.entry, reply->entry) != 0 || strcmp(again.reason, reply->reason) != 0)
                abort();
        if (reply->type != UNPACK_ERROR)
                return;
        if (unpack_reply_to_error(reply, &error) >= 0 ||
            !entry_text_is_valid(error.message, strlen(error.message)))
                abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        UnpackReplies replies = {};
        const void *rest = data;
        UnpackReply reply;

        if (size >= UNPACK_HEADER_SIZE)
                try_header(data);
        while (unpack_replies_feed(&replies, &rest, &size, &reply) > 0)
                check_reply(&reply);
        return 0;
}
