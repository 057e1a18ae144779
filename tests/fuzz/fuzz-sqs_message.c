#include <stdlib.h>
#include <string.h>

#include "agent/net/endpoint.h"
#include "agent/net/sqs_message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_answer(const char *text, size_t size) {
        json_auto_t *answer = json_loadb(text, size, 0, NULL);
        SqsMessages messages = {};
        Error error = {};

        if (!answer)
                return;
        if (sqs_messages_read(answer, &messages, &error) < 0) {
                if (messages.n > 0 || !error.message[0])
                        abort();
                return;
        }
        for (size_t i = 0; i < messages.n; i++)
                if (strlen(messages.items[i].body) != messages.items[i].body_size)
                        abort();
}

/* An answer gives whole messages or none; a URL gives a region that may stand in a host name. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_free_ char *text = malloc(size + 1);
        char region[SQS_REGION_MAX];

        if (!text)
                return 0;
        memcpy(text, data, size);
        text[size] = '\0';
        check_answer(text, size);
        if (sqs_url_region(text, region) && !aws_region_is_valid(region))
                abort();
        (void) sqs_queue_name_is_valid(text);
        return 0;
}
