#include <inttypes.h>
#include <string.h>

#include "agent/base/hex.h"
#include "agent/base/parse.h"
#include "artifacts/entry_name.h"
#include "artifacts/unpack_protocol.h"

#define HEADER_MAGIC "MUSTERUP"
#define HEADER_VERSION 1U
#define HEADER_SYNC 1U
#define HEADER_WRAPPED 2U
#define FORMAT_SIZE 16U
#define TEXT_MAX UNPACK_REASON_MAX /* the longer of the two texts of an error */

/* Where the fields lie; numbers are little-endian; what is not named is zero. */
enum {
        AT_MAGIC = 0,
        AT_VERSION = 8,
        AT_FLAGS = 12,
        AT_FORMAT = 16,
        AT_SIZE = 32,
        AT_ENTRIES = 40,
        AT_UNPACKED_SIZE = 48,
        AT_DECODER_MEMORY = 56,
        AT_PATH_MAX = 64,
        AT_DEPTH_MAX = 68,
        AT_TIME = 72,
        AT_END = 76,
};

static void put(uint8_t *p, uint64_t value, size_t size) {
        for (size_t i = 0; i < size; i++)
                p[i] = (uint8_t) (value >> (8 * i));
}

static uint64_t get(const uint8_t *p, size_t size) {
        uint64_t value = 0;

        for (size_t i = 0; i < size; i++)
                value |= (uint64_t) p[i] << (8 * i);
        return value;
}

UnpackLimits unpack_limits(ArchiveFormat format, uint64_t size, uint64_t entries, uint64_t unpacked_size) {
        return (UnpackLimits){
                .format = format,
                .size = size,
                .entries = entries,
                .unpacked_size = unpacked_size,
                .decoder_memory_max = UNPACK_DECODER_MEMORY_DEFAULT,
                .path_max = UNPACK_PATH_DEFAULT,
                .depth_max = UNPACK_DEPTH_DEFAULT,
        };
}

static int check(const char *what, uint64_t value, uint64_t min, uint64_t max, Error *error) {
        if (value >= min && value <= max)
                return 0;
        return error_set_fault(error, -EINVAL, FAULT_RELEASE,
                               "%s is %" PRIu64 ", expected %" PRIu64 " to %" PRIu64, what, value, min, max);
}

int unpack_limits_check(const UnpackLimits *limits, Error *error) {
        if (!archive_format_to_string(limits->format))
                return error_set_fault(error, -EINVAL, FAULT_RELEASE, "unknown archive format");
        if (check("archive size", limits->size, 1, UNPACK_BYTES_MAX, error) < 0 ||
            check("number of entries", limits->entries, 0, UNPACK_ENTRIES_MAX, error) < 0 ||
            check("unpacked size", limits->unpacked_size, 0, UNPACK_BYTES_MAX, error) < 0 ||
            check("memory of the decoder", limits->decoder_memory_max, 1, UNPACK_DECODER_MEMORY_MAX, error) <
                    0 ||
            check("longest path", limits->path_max, 1, UNPACK_PATH_MAX, error) < 0 ||
            check("greatest depth", limits->depth_max, 1, UNPACK_DEPTH_MAX, error) < 0)
                return -EINVAL;
        return 0;
}

int unpack_header_encode(const UnpackLimits *limits, uint8_t ret[static UNPACK_HEADER_SIZE], Error *error) {
        const char *format;

        if (unpack_limits_check(limits, error) < 0)
                return -EINVAL;
        format = archive_format_to_string(limits->format);
        memset(ret, 0, UNPACK_HEADER_SIZE);
        memcpy(ret + AT_MAGIC, HEADER_MAGIC, strlen(HEADER_MAGIC));
        memcpy(ret + AT_FORMAT, format, strlen(format));
        put(ret + AT_VERSION, HEADER_VERSION, 4);
        put(ret + AT_FLAGS, (limits->sync ? HEADER_SYNC : 0) | (limits->wrapped ? HEADER_WRAPPED : 0), 4);
        put(ret + AT_SIZE, limits->size, 8);
        put(ret + AT_ENTRIES, limits->entries, 8);
        put(ret + AT_UNPACKED_SIZE, limits->unpacked_size, 8);
        put(ret + AT_DECODER_MEMORY, limits->decoder_memory_max, 8);
        put(ret + AT_PATH_MAX, limits->path_max, 4);
        put(ret + AT_DEPTH_MAX, limits->depth_max, 4);
        put(ret + AT_TIME, limits->time, 4);
        return 0;
}

static bool is_zero(const uint8_t *data, size_t size) {
        for (size_t i = 0; i < size; i++)
                if (data[i] != 0)
                        return false;
        return true;
}

int unpack_header_decode(const uint8_t data[static UNPACK_HEADER_SIZE], UnpackLimits *ret, Error *error) {
        char format[FORMAT_SIZE + 1] = {};
        UnpackLimits limits = {};
        uint64_t flags = get(data + AT_FLAGS, 4);

        if (memcmp(data + AT_MAGIC, HEADER_MAGIC, strlen(HEADER_MAGIC)) != 0)
                return error_set(error, -EBADMSG, "standard input does not begin with musterd's limits");
        if (get(data + AT_VERSION, 4) != HEADER_VERSION)
                return error_set(error, -EBADMSG,
                                 "the limits on standard input are of version %" PRIu64 ", expected %u",
                                 get(data + AT_VERSION, 4), HEADER_VERSION);
        memcpy(format, data + AT_FORMAT, FORMAT_SIZE);
        if (archive_format_from_string(format, &limits.format) < 0 ||
            !is_zero(data + AT_FORMAT + strlen(format), FORMAT_SIZE - strlen(format)) ||
            (flags & ~(uint64_t) (HEADER_SYNC | HEADER_WRAPPED)) != 0 ||
            !is_zero(data + AT_END, UNPACK_HEADER_SIZE - AT_END))
                return error_set(error, -EBADMSG, "the limits on standard input are malformed");
        limits.sync = flags & HEADER_SYNC;
        limits.wrapped = flags & HEADER_WRAPPED;
        limits.size = get(data + AT_SIZE, 8);
        limits.entries = get(data + AT_ENTRIES, 8);
        limits.unpacked_size = get(data + AT_UNPACKED_SIZE, 8);
        limits.decoder_memory_max = get(data + AT_DECODER_MEMORY, 8);
        limits.path_max = (uint32_t) get(data + AT_PATH_MAX, 4);
        limits.depth_max = (uint32_t) get(data + AT_DEPTH_MAX, 4);
        limits.time = (uint32_t) get(data + AT_TIME, 4);
        if (unpack_limits_check(&limits, error) < 0)
                return -EINVAL;
        *ret = limits;
        return 0;
}

/* Everything but printable ASCII, and what has a meaning in a line, becomes %XX. */
static char *escape(char *p, const char *text, size_t max) {
        char clean[TEXT_MAX + 1];
        size_t n = entry_text_clean(text, clean, max + 1);

        if (n == 0)
                *p++ = '-';
        for (size_t i = 0; i < n; i++) {
                unsigned char c = (unsigned char) clean[i];

                if (c > ' ' && c < 0x7f && c != '%' && !(c == '-' && n == 1)) {
                        *p++ = (char) c;
                        continue;
                }
                *p++ = '%';
                hex_encode(&c, 1, p);
                p += 2;
        }
        return p;
}

void unpack_reply_encode(const UnpackReply *reply, char ret[static UNPACK_LINE_MAX]) {
        char *p = ret;

        _Static_assert(UNPACK_ENTRY_SHOWN_MAX <= TEXT_MAX, "an entry fits in a text");
        _Static_assert(3 * (UNPACK_ENTRY_SHOWN_MAX + UNPACK_REASON_MAX) + 32 < UNPACK_LINE_MAX,
                       "an error fits in a line");
        if (reply->type != UNPACK_ERROR) {
                (void) snprintf(ret, UNPACK_LINE_MAX, "%s %" PRIu64 " %" PRIu64 "\n",
                                reply->type == UNPACK_DONE ? "done" : "progress", reply->entries,
                                reply->bytes);
                return;
        }
        p = stpcpy(p, reply->fault == FAULT_RELEASE ? "error release " : "error host ");
        p = escape(p, reply->entry, UNPACK_ENTRY_SHOWN_MAX);
        *p++ = ' ';
        p = escape(p, reply->reason, UNPACK_REASON_MAX);
        (void) stpcpy(p, "\n");
}

static int unescape(const char *text, char *ret, size_t max) {
        size_t n = 0;

        if (strcmp(text, "-") == 0) {
                *ret = '\0';
                return 0;
        }
        for (const char *p = text; *p; p++, n++) {
                char digits[3] = {};

                if (n == max)
                        return -EBADMSG;
                ret[n] = *p;
                if (*p != '%')
                        continue;
                memcpy(digits, p + 1, strnlen(p + 1, 2));
                if (hex_decode(digits, ret + n, 1) < 0)
                        return -EBADMSG;
                p += 2;
        }
        ret[n] = '\0';
        return n > 0 && entry_text_is_valid(ret, n) ? 0 : -EBADMSG;
}

static int decode_counts(char *const words[3], UnpackReply *reply) {
        if (parse_u64(words[1], &reply->entries) < 0 || parse_u64(words[2], &reply->bytes) < 0)
                return -EBADMSG;
        return 0;
}

static int decode_error(char *const words[4], UnpackReply *reply) {
        if (strcmp(words[1], "host") == 0)
                reply->fault = FAULT_HOST;
        else if (strcmp(words[1], "release") == 0)
                reply->fault = FAULT_RELEASE;
        else
                return -EBADMSG;
        if (unescape(words[2], reply->entry, UNPACK_ENTRY_SHOWN_MAX) < 0 ||
            unescape(words[3], reply->reason, UNPACK_REASON_MAX) < 0)
                return -EBADMSG;
        return 0;
}

/* Words are separated by one blank each. */
static size_t split_words(char *line, char *words[], size_t max) {
        size_t n = 0;

        for (char *p = line; p && n < max; n++) {
                words[n] = p;
                p = strchr(p, ' ');
                if (p)
                        *p++ = '\0';
                if (p && n + 1 == max)
                        return max + 1;
        }
        return n;
}

int unpack_reply_decode(const char *line, size_t length, UnpackReply *ret) {
        char copy[UNPACK_LINE_MAX], *words[4];
        UnpackReply reply = {};
        size_t n;
        int r = -EBADMSG;

        if (length >= sizeof(copy) || memchr(line, '\0', length))
                return -EBADMSG;
        memcpy(copy, line, length);
        copy[length] = '\0';
        n = split_words(copy, words, ELEMENTSOF(words));
        if (n == 3 && strcmp(words[0], "progress") == 0) {
                reply.type = UNPACK_PROGRESS;
                r = decode_counts(words, &reply);
        } else if (n == 3 && strcmp(words[0], "done") == 0) {
                reply.type = UNPACK_DONE;
                r = decode_counts(words, &reply);
        } else if (n == 4 && strcmp(words[0], "error") == 0) {
                reply.type = UNPACK_ERROR;
                r = decode_error(words, &reply);
        }
        if (r >= 0)
                *ret = reply;
        return r;
}

int unpack_reply_to_error(const UnpackReply *reply, Error *error) {
        int r = reply->fault == FAULT_RELEASE ? -EBADMSG : -EIO;

        if (reply->entry[0])
                return error_set_fault(error, r, reply->fault, "archive entry \"%s\": %s", reply->entry,
                                       reply->reason);
        return error_set_fault(error, r, reply->fault, "%s", reply->reason);
}

int unpack_replies_feed(UnpackReplies *replies, const void **data, size_t *size, UnpackReply *ret) {
        const char *begin = *data, *end;
        size_t take;
        int r;

        if (*size == 0)
                return 0;
        end = memchr(begin, '\n', *size);
        take = end ? (size_t) (end - begin) : *size;
        if (replies->finished || take >= sizeof(replies->line) - replies->length)
                return -EBADMSG;
        memcpy(replies->line + replies->length, begin, take);
        replies->length += take;
        *data = begin + take + (end ? 1 : 0);
        *size -= take + (end ? 1 : 0);
        if (!end)
                return 0;
        r = unpack_reply_decode(replies->line, replies->length, ret);
        replies->length = 0;
        if (r < 0)
                return r;
        replies->finished = ret->type != UNPACK_PROGRESS;
        return 1;
}
