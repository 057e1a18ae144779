#include <openssl/evp.h>
#include <string.h>

#include "agent/base/hex.h"
#include "agent/base/strv.h"
#include "agent/net/endpoint.h"
#include "agent/net/sqs_message.h"
#include "agent/net/url.h"

#define MD5_SIZE 16
#define QUEUE_NAME_MAX 80
#define FIFO_SUFFIX ".fifo"

/* A message without a checksum, and a library without MD5 (FIPS mode), leave nothing to compare. */
static bool is_damaged(const SqsMessage *message, const char *md5) {
        uint8_t digest[EVP_MAX_MD_SIZE];
        char hex[2 * EVP_MAX_MD_SIZE + 1];
        unsigned size = 0;

        if (!md5 || EVP_Digest(message->body, message->body_size, digest, &size, EVP_md5(), NULL) != 1 ||
            size != MD5_SIZE)
                return false;
        hex_encode(digest, size, hex);
        return strcmp(hex, md5) != 0;
}

static int read_message(const json_t *item, SqsMessages *messages, Error *error) {
        const json_t *body = json_object_get(item, "Body");
        const SqsMessage message = {
                .id = json_string_value(json_object_get(item, "MessageId")),
                .receipt = json_string_value(json_object_get(item, "ReceiptHandle")),
                .body = json_string_value(body),
                .body_size = json_string_length(body),
        };

        if (!message.id || !message.receipt || !message.body)
                return error_set_fault(error, -EBADMSG, FAULT_HOST,
                                       "a message without MessageId, ReceiptHandle or Body");
        if (is_damaged(&message, json_string_value(json_object_get(item, "MD5OfBody"))))
                messages->n_damaged++;
        else
                messages->items[messages->n++] = message;
        return 0;
}

int sqs_messages_read(const json_t *answer, SqsMessages *ret, Error *error) {
        const json_t *items = json_object_get(answer, "Messages");
        SqsMessages messages = {};

        if (items && !json_is_null(items) && !json_is_array(items))
                return error_set_fault(error, -EBADMSG, FAULT_HOST, "Messages is no array");
        if (json_array_size(items) > SQS_MESSAGES_MAX)
                return error_set_fault(error, -EBADMSG, FAULT_HOST, "more than %u messages",
                                       SQS_MESSAGES_MAX);
        for (size_t i = 0; i < json_array_size(items); i++) {
                int r = read_message(json_array_get(items, i), &messages, error);

                if (r < 0)
                        return r;
        }
        *ret = messages;
        return 0;
}

static bool is_sqs_label(const char *label, size_t n) {
        static const char *const names[] = { "sqs", "sqs-fips" };

        for (size_t i = 0; i < ELEMENTSOF(names); i++)
                if (n == strlen(names[i]) && memcmp(label, names[i], n) == 0)
                        return true;
        return false;
}

bool sqs_url_region(const char *queue_url, char ret[static SQS_REGION_MAX]) {
        _cleanup_url_ Url url = {};
        const char *region, *dot;
        size_t n;

        if (url_parse(queue_url, &url, NULL) < 0)
                return false;
        dot = strchr(url.host, '.');
        if (!dot)
                return false;
        region = is_sqs_label(url.host, (size_t) (dot - url.host)) ? dot + 1 : url.host;
        if (region == url.host && !string_starts_with(dot, ".queue."))
                return false;
        n = strcspn(region, ".");
        if (n == 0 || n >= SQS_REGION_MAX || !region[n] || !strchr(region + n + 1, '.'))
                return false;
        memcpy(ret, region, n);
        ret[n] = '\0';
        return aws_region_is_valid(ret);
}

bool sqs_queue_name_is_valid(const char *name) {
        size_t n = strlen(name), length = n;

        if (string_ends_with(name, FIFO_SUFFIX))
                length -= strlen(FIFO_SUFFIX);
        for (size_t i = 0; i < length; i++)
                if (!(name[i] >= 'a' && name[i] <= 'z') && !(name[i] >= 'A' && name[i] <= 'Z') &&
                    !(name[i] >= '0' && name[i] <= '9') && name[i] != '-' && name[i] != '_')
                        return false;
        return length > 0 && n <= QUEUE_NAME_MAX;
}
