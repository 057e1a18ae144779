#include <stdlib.h>
#include <string.h>

#include "agent/base/parse.h"
#include "agent/queue_route.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_notice(const QueueNotice *notice) {
        static const QueueApp apps[] = { { "api", "prod" }, { "web", "prod" } };
        static const QueueSelf self = { "i-1", "s3://depot/prefix", apps, ELEMENTSOF(apps) };
        QueueRoute route = queue_route(&self, notice);

        if (notice->kind == QUEUE_NOTICE_CHANGED && notice->app && !name_is_valid(notice->app))
                abort();
        if (notice->kind == QUEUE_NOTICE_OBJECT && (!notice->bucket || !notice->key))
                abort();
        if (route.apps >> ELEMENTSOF(apps) || (route.apps && route.concern != QUEUE_CONCERNS_US))
                abort();
}

/* A message says at least one thing that can be routed, or is refused in one line. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_(queue_message_freep) QueueMessage *message = NULL;
        const QueueNotice *notices;
        Error error = {};
        size_t n;

        if (queue_message_parse((const char *) data, size, &message, &error) < 0) {
                if (message || !error.message[0] || strchr(error.message, '\n'))
                        abort();
                return 0;
        }
        notices = queue_message_notices(message, &n);
        if (n == 0 || n > QUEUE_NOTICES_MAX)
                abort();
        for (size_t i = 0; i < n; i++)
                check_notice(&notices[i]);
        return 0;
}
