#include <ctype.h>
#include <openssl/crypto.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "agent/base/clock.h"
#include "agent/base/hex.h"
#include "agent/base/strv.h"
#include "agent/net/digest.h"
#include "agent/net/sigv4.h"
#include "agent/net/url.h"

#define ALGORITHM "AWS4-HMAC-SHA256"
#define DATE_SIZE 8 /* of the time, without hours */

/* A name and a value in canonical form, of a header or of a query's parameter. */
typedef struct Pair {
        char *name;
        char *value;
        size_t index; /* as it came */
} Pair;

typedef struct Pairs {
        Pair *items;
        size_t n;
} Pairs;

static void pairs_deinit(Pairs *pairs) {
        for (size_t i = 0; i < pairs->n; i++) {
                free(pairs->items[i].name);
                free(pairs->items[i].value);
        }
        free(pairs->items);
        *pairs = (Pairs){};
}
#define _cleanup_pairs_ _cleanup_(pairs_deinit)

static int pairs_add(Pairs *pairs, char **name, char **value) {
        Pair *grown = reallocarray(pairs->items, pairs->n + 1, sizeof(*grown));

        if (!grown)
                return -ENOMEM;
        pairs->items = grown;
        pairs->items[pairs->n] = (Pair){ TAKE_PTR(*name), TAKE_PTR(*value), pairs->n };
        pairs->n++;
        return 0;
}

/* By name, then by value: never the joined text, in which "a-b=" would come before "a=". */
static int compare_parameters(const void *a, const void *b) {
        const Pair *x = a, *y = b;
        int r = strcmp(x->name, y->name);

        return r != 0 ? r : strcmp(x->value, y->value);
}

/* By name; those of the same name stay in order. */
static int compare_headers(const void *a, const void *b) {
        const Pair *x = a, *y = b;
        int r = strcmp(x->name, y->name);

        return r != 0 ? r : (x->index > y->index) - (x->index < y->index);
}

static int recode(const char *text, size_t size, char **ret) {
        _cleanup_buffer_ Buffer decoded = {}, encoded = {};
        int r;

        r = url_decode(&decoded, text, size, false);
        if (r >= 0)
                r = url_encode(&encoded, buffer_string(&decoded), decoded.size, false);
        return r < 0 ? r : buffer_steal(&encoded, ret, NULL);
}

static int parse_parameter(const char *text, size_t size, Pairs *pairs) {
        const char *equals = memchr(text, '=', size);
        size_t name_size = equals ? (size_t) (equals - text) : size;
        _cleanup_free_ char *name = NULL, *value = NULL;
        int r;

        r = recode(text, name_size, &name);
        if (r >= 0)
                r = recode(text + name_size + !!equals, size - name_size - !!equals, &value);
        return r < 0 ? r : pairs_add(pairs, &name, &value);
}

static int add_query(const char *query, Buffer *buffer) {
        _cleanup_pairs_ Pairs pairs = {};
        int r = 0;

        while (query && *query && r >= 0) {
                size_t n = strcspn(query, "&");

                if (n > 0)
                        r = parse_parameter(query, n, &pairs);
                query += n + (query[n] == '&');
        }
        if (pairs.n > 0)
                qsort(pairs.items, pairs.n, sizeof(Pair), compare_parameters);
        for (size_t i = 0; i < pairs.n && r >= 0; i++)
                r = buffer_printf(buffer, "%s%s=%s", i > 0 ? "&" : "", pairs.items[i].name,
                                  pairs.items[i].value);
        return r < 0 ? r : buffer_append(buffer, "\n", 1, SIZE_MAX);
}

/* RFC 3986's remove_dot_segments, and "//" folded into one. */
static int normalize_path(const char *path, char **ret) {
        _cleanup_strv_ char **parts = NULL, **kept = NULL;
        _cleanup_buffer_ Buffer buffer = {};
        size_t n = 0;
        int r;

        r = strv_split(path, "/", &parts);
        if (r < 0)
                return r;
        STRV_FOREACH(part, parts) {
                if (string_equal(*part, "."))
                        continue;
                if (string_equal(*part, "..")) {
                        if (n > 0) {
                                free(kept[--n]);
                                kept[n] = NULL;
                        }
                        continue;
                }
                r = strv_append(&kept, *part);
                if (r < 0)
                        return r;
                n++;
        }
        STRV_FOREACH(part, kept)
                if (r >= 0)
                        r = buffer_printf(&buffer, "/%s", *part);
        if (r >= 0 && (n == 0 || string_ends_with(path, "/")))
                r = buffer_append(&buffer, "/", 1, SIZE_MAX);
        return r < 0 ? r : buffer_steal(&buffer, ret, NULL);
}

static int add_path(const SigV4Request *request, Buffer *buffer) {
        _cleanup_free_ char *normalized = NULL;
        const char *path = request->path;
        int r = 0;

        if (request->normalize_path) {
                r = normalize_path(path, &normalized);
                if (r < 0)
                        return r;
                path = normalized;
        }
        if (request->encode_path)
                r = url_encode(buffer, path, strlen(path), true);
        else
                r = buffer_append(buffer, path, strlen(path), SIZE_MAX);
        return r < 0 ? r : buffer_append(buffer, "\n", 1, SIZE_MAX);
}

/* What proxies and libraries change on the way. */
static bool is_signed(const char *header, size_t name_size) {
        static const char *const unsigned_headers[] = {
                "authorization", "connection", "expect", "transfer-encoding", "user-agent", "x-amzn-trace-id",
        };

        for (size_t i = 0; i < ELEMENTSOF(unsigned_headers); i++)
                if (strlen(unsigned_headers[i]) == name_size &&
                    strncasecmp(header, unsigned_headers[i], name_size) == 0)
                        return false;
        return true;
}

/* Without white space at both ends, runs of it inside as one space. */
static char *fold(const char *text) {
        char *folded = malloc(strlen(text) + 1), *end = folded;

        if (!folded)
                return NULL;
        for (; *text; text++)
                if (!isspace((unsigned char) *text))
                        *end++ = *text;
                else if (end > folded && end[-1] != ' ')
                        *end++ = ' ';
        if (end > folded && end[-1] == ' ')
                end--;
        *end = '\0';
        return folded;
}

static int parse_header(const char *header, Pairs *pairs) {
        _cleanup_free_ char *name = NULL, *value = NULL;
        size_t n = strcspn(header, ":");

        if (header[n] == '\0')
                return -EINVAL;
        if (!is_signed(header, n))
                return 0;
        name = strndup(header, n);
        value = fold(header + n + 1);
        if (!name || !value)
                return -ENOMEM;
        for (char *c = name; *c; c++)
                *c = (char) tolower((unsigned char) *c);
        return pairs_add(pairs, &name, &value);
}

static int canonical_headers(char *const *headers, Pairs *pairs) {
        int r = 0;

        STRV_FOREACH(header, headers)
                if (r >= 0)
                        r = parse_header(*header, pairs);
        if (r >= 0 && pairs->n > 0)
                qsort(pairs->items, pairs->n, sizeof(Pair), compare_headers);
        return r;
}

static bool repeats(const Pairs *pairs, size_t i) {
        return i > 0 && string_equal(pairs->items[i].name, pairs->items[i - 1].name);
}

/* "name:value\n" each, several values of one name with "," between them. */
static int add_header_lines(const Pairs *pairs, Buffer *buffer) {
        int r = 0;

        for (size_t i = 0; i < pairs->n && r >= 0; i++) {
                const Pair *pair = pairs->items + i;

                if (repeats(pairs, i))
                        r = buffer_printf(buffer, ",%s", pair->value);
                else
                        r = buffer_printf(buffer, "%s%s:%s", i > 0 ? "\n" : "", pair->name, pair->value);
        }
        return r < 0 ? r : buffer_append(buffer, "\n\n", 2, SIZE_MAX);
}

static int add_signed_names(const Pairs *pairs, Buffer *buffer) {
        int r = 0;

        for (size_t i = 0; i < pairs->n && r >= 0; i++)
                if (!repeats(pairs, i))
                        r = buffer_printf(buffer, "%s%s", i > 0 ? ";" : "", pairs->items[i].name);
        return r;
}

int sigv4_canonical_request(const SigV4Request *request, Buffer *buffer) {
        _cleanup_pairs_ Pairs headers = {};
        int r;

        r = canonical_headers(request->headers, &headers);
        if (r >= 0)
                r = buffer_printf(buffer, "%s\n", request->method);
        if (r >= 0)
                r = add_path(request, buffer);
        if (r >= 0)
                r = add_query(request->query, buffer);
        if (r >= 0)
                r = add_header_lines(&headers, buffer);
        if (r >= 0)
                r = add_signed_names(&headers, buffer);
        return r < 0 ? r : buffer_printf(buffer, "\n%s", request->payload_hash);
}

void sigv4_format_time(uint64_t usec, char ret[static SIGV4_TIME_MAX]) {
        time_t t = (time_t) (usec / USEC_PER_SEC);
        struct tm tm = {};

        (void) gmtime_r(&t, &tm);
        (void) strftime(ret, SIGV4_TIME_MAX, "%Y%m%dT%H%M%SZ", &tm);
}

static int add_scope(const SigV4Scope *scope, const char *time, Buffer *buffer) {
        return buffer_printf(buffer, "%.*s/%s/%s/aws4_request", DATE_SIZE, time, scope->region,
                             scope->service);
}

int sigv4_string_to_sign(const SigV4Scope *scope, const Buffer *canonical_request, Buffer *buffer) {
        char hash[DIGEST_HEX_SIZE], time[SIGV4_TIME_MAX];
        int r;

        sigv4_format_time(scope->time, time);
        r = digest_sha256_hex(canonical_request->data, canonical_request->size, hash);
        if (r >= 0)
                r = buffer_printf(buffer, ALGORITHM "\n%s\n", time);
        if (r >= 0)
                r = add_scope(scope, time, buffer);
        return r < 0 ? r : buffer_printf(buffer, "\n%s", hash);
}

static int derive_key(const SigV4Scope *scope, const char *secret, uint8_t ret[static DIGEST_SIZE]) {
        _cleanup_free_ char *first = NULL;
        char time[SIGV4_TIME_MAX];
        int n, r;

        sigv4_format_time(scope->time, time);
        n = asprintf(&first, "AWS4%s", secret);
        if (n < 0) {
                first = NULL;
                return -ENOMEM;
        }
        r = digest_hmac_sha256(first, (size_t) n, time, DATE_SIZE, ret);
        OPENSSL_cleanse(first, (size_t) n);
        if (r >= 0)
                r = digest_hmac_sha256(ret, DIGEST_SIZE, scope->region, strlen(scope->region), ret);
        if (r >= 0)
                r = digest_hmac_sha256(ret, DIGEST_SIZE, scope->service, strlen(scope->service), ret);
        if (r >= 0)
                r = digest_hmac_sha256(ret, DIGEST_SIZE, "aws4_request", strlen("aws4_request"), ret);
        return r;
}

static int compute_signature(const SigV4Request *request, const SigV4Scope *scope, const char *secret,
                             char ret[static DIGEST_HEX_SIZE]) {
        _cleanup_buffer_ Buffer canonical = {}, to_sign = {};
        uint8_t key[DIGEST_SIZE] = {}, signature[DIGEST_SIZE];
        int r;

        r = sigv4_canonical_request(request, &canonical);
        if (r >= 0)
                r = sigv4_string_to_sign(scope, &canonical, &to_sign);
        if (r >= 0)
                r = derive_key(scope, secret, key);
        if (r >= 0)
                r = digest_hmac_sha256(key, sizeof(key), to_sign.data, to_sign.size, signature);
        OPENSSL_cleanse(key, sizeof(key));
        if (r >= 0)
                hex_encode(signature, sizeof(signature), ret);
        return r;
}

int sigv4_sign(const SigV4Request *request, const SigV4Scope *scope, const Credentials *credentials,
               char **ret) {
        _cleanup_buffer_ Buffer buffer = {};
        _cleanup_pairs_ Pairs headers = {};
        char signature[DIGEST_HEX_SIZE], time[SIGV4_TIME_MAX];
        int r;

        sigv4_format_time(scope->time, time);
        r = compute_signature(request, scope, credentials->secret_access_key, signature);
        if (r >= 0)
                r = canonical_headers(request->headers, &headers);
        if (r >= 0)
                r = buffer_printf(&buffer, ALGORITHM " Credential=%s/", credentials->access_key_id);
        if (r >= 0)
                r = add_scope(scope, time, &buffer);
        if (r >= 0)
                r = buffer_printf(&buffer, ", SignedHeaders=");
        if (r >= 0)
                r = add_signed_names(&headers, &buffer);
        if (r >= 0)
                r = buffer_printf(&buffer, ", Signature=%s", signature);
        return r < 0 ? r : buffer_steal(&buffer, ret, NULL);
}
