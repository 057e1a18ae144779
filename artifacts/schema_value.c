#include <inttypes.h>
#include <string.h>

#include "agent/base/base64.h"
#include "agent/base/clock.h"
#include "agent/base/hex.h"
#include "agent/base/parse.h"
#include "agent/base/strv.h"
#include "agent/net/digest.h"
#include "artifacts/schema_value.h"

#define EXPECTED_TEXT_MAX 256U

/* Hands over a new JSON value; NULL means that there was no memory for it. */
static int give(json_t *value, json_t **ret) {
        *ret = value;
        return value ? 0 : -ENOMEM;
}

/* Text */

static int read_text(const SchemaType *type, const JsonField *field, void *value, Error *error) {
        const char *text = json_string_value(field->value);
        size_t n = json_string_length(field->value);
        char *copy;

        if (!text || (type->is_valid && !type->is_valid(text)))
                return json_field_expected(field, error, type->expected ?: "text");
        if (n < type->min || n > type->max)
                return json_field_fail(field, error, "expected %s of %" PRIu64 " to %" PRIu64 " bytes",
                                       type->expected ?: "text", type->min, type->max);
        copy = strdup(text);
        if (!copy)
                return error_oom(error);
        *(char **) value = copy;
        return 0;
}

static int write_text(_unused_ const SchemaType *type, const void *value, json_t **ret) {
        const char *text = *(char *const *) value;

        return text ? give(json_string(text), ret) : 0;
}

static void clear_text(_unused_ const SchemaType *type, void *value) {
        free(*(char **) value);
        *(char **) value = NULL;
}

const SchemaKind schema_text = {
        .read = read_text, .write = write_text, .clear = clear_text, .size = sizeof(char *)
};

/* Numbers and booleans */

static int expected_number(const SchemaType *type, const JsonField *field, Error *error) {
        char expected[EXPECTED_TEXT_MAX];

        snprintf(expected, sizeof(expected), "%s from %" PRIu64 " to %" PRIu64, type->expected ?: "a number",
                 type->min, type->max);
        return json_field_expected(field, error, expected);
}

static int read_u64(const SchemaType *type, const JsonField *field, void *value, Error *error) {
        json_int_t integer = json_integer_value(field->value);
        uint64_t number = (uint64_t) integer;
        bool ok = json_is_integer(field->value) && integer >= 0;

        if (field->source->untyped && json_is_string(field->value))
                ok = parse_u64(json_string_value(field->value), &number) >= 0;
        if (!ok || number < type->min || number > type->max)
                return expected_number(type, field, error);
        *(uint64_t *) value = number;
        return 0;
}

static int write_u64(const SchemaType *type, const void *value, json_t **ret) {
        uint64_t number = *(const uint64_t *) value;

        return number == 0 && type->zero_is_unset ? 0 : give(json_integer((json_int_t) number), ret);
}

const SchemaKind schema_u64 = { .read = read_u64, .write = write_u64, .size = sizeof(uint64_t) };

static int read_boolean(_unused_ const SchemaType *type, const JsonField *field, void *value, Error *error) {
        bool result = json_is_true(field->value), ok = json_is_boolean(field->value);

        if (field->source->untyped && json_is_string(field->value))
                ok = parse_boolean(json_string_value(field->value), &result) >= 0;
        if (!ok)
                return json_field_expected(field, error, "true or false");
        *(bool *) value = result;
        return 0;
}

static int write_boolean(const SchemaType *type, const void *value, json_t **ret) {
        bool is_true = *(const bool *) value;

        return !is_true && type->zero_is_unset ? 0 : give(json_boolean(is_true), ret);
}

const SchemaKind schema_boolean = { .read = read_boolean, .write = write_boolean, .size = sizeof(bool) };

/* Durations and times */

static int expected_duration(const SchemaType *type, const JsonField *field, Error *error) {
        char expected[EXPECTED_TEXT_MAX], min[DURATION_TEXT_MAX], max[DURATION_TEXT_MAX];

        format_duration(type->min, min);
        format_duration(type->max, max);
        snprintf(expected, sizeof(expected), "%s from %s to %s",
                 field->source->untyped ? "a number of seconds, or a duration such as \"5m\","
                                        : "a duration such as \"90s\"",
                 min, max);
        return json_field_expected(field, error, expected);
}

static int read_duration(const SchemaType *type, const JsonField *field, void *value, Error *error) {
        const char *text = json_string_value(field->value);
        uint64_t usec;
        int r;

        if (!text)
                return expected_duration(type, field, error);
        r = parse_duration(text, &usec);
        if (r < 0 && field->source->untyped && parse_u64(text, &usec) >= 0)
                r = __builtin_mul_overflow(usec, USEC_PER_SEC, &usec) ? -ERANGE : 0;
        if (r < 0 || usec < type->min || usec > type->max)
                return expected_duration(type, field, error);
        *(uint64_t *) value = usec;
        return 0;
}

static int write_duration(const SchemaType *type, const void *value, json_t **ret) {
        uint64_t usec = *(const uint64_t *) value;
        char text[DURATION_TEXT_MAX];

        if (usec == 0 && type->zero_is_unset)
                return 0;
        format_duration(usec, text);
        return give(json_string(text), ret);
}

const SchemaKind schema_duration = { .read = read_duration,
                                     .write = write_duration,
                                     .size = sizeof(uint64_t) };

static int read_time(_unused_ const SchemaType *type, const JsonField *field, void *value, Error *error) {
        const char *text = json_string_value(field->value);
        uint64_t usec;

        if (!text || !string_ends_with(text, "Z") || parse_time(text, &usec) < 0 || usec == 0 ||
            usec % USEC_PER_SEC != 0)
                return json_field_expected(field, error, "a time such as \"2026-11-21T09:00:00Z\"");
        *(uint64_t *) value = usec;
        return 0;
}

static int write_time(_unused_ const SchemaType *type, const void *value, json_t **ret) {
        uint64_t usec = *(const uint64_t *) value;
        char text[TIME_TEXT_MAX];

        if (usec == 0)
                return 0;
        format_time(usec, text);
        return give(json_string(text), ret);
}

const SchemaKind schema_time = { .read = read_time, .write = write_time, .size = sizeof(uint64_t) };

/* Digests */

static int read_digest(_unused_ const SchemaType *type, const JsonField *field, void *value, Error *error) {
        const char *text = json_string_value(field->value);

        if (!text || hex_decode(text, value, DIGEST_SIZE) < 0)
                return json_field_expected(field, error, "a SHA-256 digest of 64 lower-case hex digits");
        return 0;
}

static int write_digest(_unused_ const SchemaType *type, const void *value, json_t **ret) {
        char text[DIGEST_HEX_SIZE];

        hex_encode(value, DIGEST_SIZE, text);
        return give(json_string(text), ret);
}

const SchemaKind schema_digest = { .read = read_digest, .write = write_digest, .size = DIGEST_SIZE };

static int read_hex(const SchemaType *type, const JsonField *field, void *value, Error *error) {
        uint8_t digest[DIGEST_SIZE];
        int r;

        r = read_digest(type, field, digest, error);
        if (r >= 0)
                hex_encode(digest, sizeof(digest), value);
        return r;
}

/* "" is a digest that is not known, and is left out. */
static int write_hex(_unused_ const SchemaType *type, const void *value, json_t **ret) {
        return *(const char *) value ? give(json_string(value), ret) : 0;
}

const SchemaKind schema_hex = { .read = read_hex, .write = write_hex, .size = DIGEST_HEX_SIZE };

static int read_base64(const SchemaType *type, const JsonField *field, void *value, Error *error) {
        const char *text = json_string_value(field->value);
        _cleanup_free_ uint8_t *data = NULL;
        size_t size = 0;
        int r;

        r = text ? base64_decode(text, strlen(text), &data, &size) : -EINVAL;
        if (r == -ENOMEM)
                return error_oom(error);
        if (r < 0 || size != type->size)
                return json_field_fail(field, error, "expected %zu bytes in base64", type->size);
        memcpy(value, data, size);
        return 0;
}

static int write_base64(const SchemaType *type, const void *value, json_t **ret) {
        _cleanup_free_ char *text = NULL;
        int r;

        r = base64_encode(value, type->size, &text);
        return r < 0 ? r : give(json_string(text), ret);
}

const SchemaKind schema_base64 = { .read = read_base64, .write = write_base64 };

/* Choices */

static int expected_choice(const SchemaType *type, const JsonField *field, Error *error) {
        char expected[EXPECTED_TEXT_MAX] = "";
        size_t used = 0;

        for (const char *const *c = type->choices; *c && used < sizeof(expected); c++)
                used += (size_t) snprintf(expected + used, sizeof(expected) - used, "%s%s",
                                          c == type->choices ? "" : (c[1] ? ", " : " or "), *c);
        return json_field_expected(field, error, expected);
}

static int read_choice(const SchemaType *type, const JsonField *field, void *value, Error *error) {
        const char *text = json_string_value(field->value);

        for (unsigned i = 0; text && type->choices[i]; i++)
                if (strcmp(type->choices[i], text) == 0) {
                        *(unsigned *) value = i;
                        return 0;
                }
        return expected_choice(type, field, error);
}

static int write_choice(const SchemaType *type, const void *value, json_t **ret) {
        unsigned choice = *(const unsigned *) value;

        return choice == 0 && type->zero_is_unset ? 0 : give(json_string(type->choices[choice]), ret);
}

const SchemaKind schema_choice = { .read = read_choice, .write = write_choice, .size = sizeof(unsigned) };
