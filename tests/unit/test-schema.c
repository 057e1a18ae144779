#include <string.h>

#include "agent/net/digest.h"
#include "artifacts/schema.h"
#include "artifacts/schema_value.h"
#include "tests/unit/test.h"

#define SECOND UINT64_C(1000000)

/* One member of every type. */

typedef struct Item {
        char *key;
        uint64_t n;
} Item;

typedef struct Pair {
        char *name, *value;
} Pair;

typedef enum Colour {
        COLOUR_RED,
        COLOUR_GREEN,
} Colour;

typedef struct Inner {
        char *text;
} Inner;

typedef struct Everything {
        char *text;
        uint64_t number, unset, duration, time;
        bool flag;
        uint8_t digest[DIGEST_SIZE];
        char hex[DIGEST_HEX_SIZE];
        uint8_t bytes[3];
        Colour colour;
        Inner inner;
        SCHEMA_LIST(char *) list;
        SCHEMA_LIST(Item) items;
        SCHEMA_LIST(Pair) pairs;
} Everything;

static bool is_lower(const char *text) {
        return strspn(text, "abcdefghijklmnopqrstuvwxyz") == strlen(text);
}

static bool inner_is_set(const void *value) {
        return ((const Inner *) value)->text;
}

static void prepare(void *value) {
        ((Everything *) value)->number = 7;
}

static int check(const JsonField *field, void *value, Error *error) {
        const Everything *everything = value;

        return everything->number == 13 ? json_field_fail(field, error, "13 is unlucky") : 0;
}

static int check_items(const JsonField *field, void *value, Error *error) {
        const SchemaList *list = value;

        return list->n == 2 ? json_field_fail(field, error, "two is company") : 0;
}

static const char *const colours[] = { "red", "green", NULL };
static const SchemaType text_type = {
        .kind = &schema_text, .is_valid = is_lower, .expected = "lower case", .max = 5
};
static const SchemaType number_type = { .kind = &schema_u64, .min = 1, .max = 100 };
static const SchemaType unset_type = { .kind = &schema_u64, .max = 9, .zero_is_unset = true };
static const SchemaType duration_type = { .kind = &schema_duration, .min = SECOND, .max = 60 * SECOND };
static const SchemaType time_type = { .kind = &schema_time };
static const SchemaType flag_type = { .kind = &schema_boolean };
static const SchemaType digest_type = { .kind = &schema_digest };
static const SchemaType hex_type = { .kind = &schema_hex };
static const SchemaType bytes_type = { .kind = &schema_base64, .size = 3 };
static const SchemaType colour_type = { .kind = &schema_choice, .choices = colours };
static const SchemaMember inner_members[] = { { "text", &text_type, offsetof(Inner, text), true }, {} };
static const SchemaType inner_type = { .kind = &schema_object,
                                       .size = sizeof(Inner),
                                       .members = inner_members,
                                       .closed = true,
                                       .is_set = inner_is_set };
static const SchemaType list_type = {
        .kind = &schema_list, .element = &text_type, .max = 3, .check = check_items
};
static const SchemaMember item_members[] = { { "n", &number_type, offsetof(Item, n), true }, {} };
static const SchemaType item_type = { .kind = &schema_object, .size = sizeof(Item), .members = item_members };
static const SchemaType items_type = { .kind = &schema_map,
                                       .element = &item_type,
                                       .entry_size = sizeof(Item),
                                       .is_valid = is_lower,
                                       .expected = "an item",
                                       .min = 1,
                                       .max = 2 };
static const SchemaType pairs_type = { .kind = &schema_map,
                                       .element = &text_type,
                                       .entry_size = sizeof(Pair),
                                       .entry_value = offsetof(Pair, value),
                                       .max = 2 };

#define MEMBER(name, type)                                                                                   \
        { #name, &type##_type, offsetof(Everything, name), false }
static const SchemaMember members[] = {
        MEMBER(text, text),         MEMBER(number, number), MEMBER(unset, unset),
        MEMBER(duration, duration), MEMBER(time, time),     MEMBER(flag, flag),
        MEMBER(digest, digest),     MEMBER(hex, hex),       MEMBER(bytes, bytes),
        MEMBER(colour, colour),     MEMBER(inner, inner),   MEMBER(list, list),
        MEMBER(items, items),       MEMBER(pairs, pairs),   {},
};
static const SchemaType everything_type = { .kind = &schema_object,
                                            .size = sizeof(Everything),
                                            .members = members,
                                            .prepare = prepare,
                                            .check = check };

#define A8 "abababab"
#define A64 A8 A8 A8 A8 A8 A8 A8 A8

static int read_text(const JsonSource *source, const char *text, Everything *ret, Error *error) {
        _cleanup_json_ json_t *value = json_loads(text, 0, NULL);
        JsonField top = json_field_top(source, value);
        int r;

        assert_non_null(value);
        *ret = (Everything){};
        r = schema_read(&everything_type, &top, ret, error);
        if (r < 0)
                schema_clear(&everything_type, ret);
        return r;
}

static void assert_refused(const JsonSource *source, const char *text, const char *message) {
        Everything everything;
        Error error = {};

        assert_int_equal(read_text(source, text, &everything, &error), -EBADMSG);
        assert_string_equal(error.message, message);
        assert_null(everything.text);
        assert_null(everything.list.items);
}

static const JsonSource json = { .name = "doc" };
static const JsonSource untyped = { .name = "doc", .untyped = true };
static const JsonSource closed = { .name = "doc", .closed = true };

static void assert_round_trip(const char *text) {
        _cleanup_json_ json_t *value = NULL;
        _cleanup_free_ char *again = NULL;
        Everything everything;
        Error error = {};
        size_t size;

        if (read_text(&json, text, &everything, &error) < 0)
                fail_msg("%s", error.message);
        assert_int_equal(schema_write(&everything_type, &everything, &value), 0);
        assert_int_equal(json_write(value, &again, &size), 0);
        assert_string_equal(again, text);
        schema_clear(&everything_type, &everything);
}

static void test_round_trips(void **state) {
        (void) state;
        assert_round_trip(
                "{\"bytes\":\"AQID\",\"colour\":\"green\",\"digest\":\"" A64
                "\",\"duration\":\"1s\",\"flag\":true,"
                "\"hex\":\"" A64 "\",\"inner\":{\"text\":\"x\"},\"items\":{\"a\":{\"n\":1},\"b\":{\"n\":2}},"
                "\"list\":[\"a\",\"b\",\"c\"],\"number\":5,\"pairs\":{\"K\":\"v\"},\"text\":\"abc\","
                "\"time\":\"2026-11-21T09:00:00Z\",\"unset\":9}");
}

/* What is not there is not written either; the default that prepare() gave is. */
static void test_leaves_out(void **state) {
        _cleanup_json_ json_t *value = NULL;
        Everything everything;

        (void) state;
        assert_int_equal(
                read_text(&json, "{\"items\":{\"z\":{\"n\":1}}, \"hex\":\"" A64 "\"}", &everything, NULL), 0);
        assert_int_equal(everything.number, 7);
        assert_null(everything.text);
        assert_null(everything.list.items);
        assert_int_equal(schema_write(&everything_type, &everything, &value), 0);
        assert_null(json_object_get(value, "text"));
        assert_null(json_object_get(value, "unset"));
        assert_null(json_object_get(value, "time"));
        assert_null(json_object_get(value, "inner"));
        assert_null(json_object_get(value, "list"));
        assert_null(json_object_get(value, "pairs"));
        assert_int_equal(json_integer_value(json_object_get(value, "number")), 7);
        schema_clear(&everything_type, &everything);
}

static void test_maps_are_sorted(void **state) {
        Everything everything;

        (void) state;
        assert_int_equal(read_text(&json, "{\"pairs\":{\"b\":\"x\",\"a\":\"y\"}}", &everything, NULL), 0);
        assert_string_equal(everything.pairs.items[0].name, "a");
        assert_string_equal(everything.pairs.items[0].value, "y");
        assert_string_equal(everything.pairs.items[1].name, "b");
        schema_clear(&everything_type, &everything);
}

static void test_lists_end_with_zero(void **state) {
        Everything everything;

        (void) state;
        assert_int_equal(read_text(&json, "{\"list\":[\"a\",\"b\",\"c\"]}", &everything, NULL), 0);
        assert_int_equal(everything.list.n, 3);
        assert_null(everything.list.items[3]);
        schema_clear(&everything_type, &everything);
}

static void test_refuses(void **state) {
        static const struct {
                const char *text, *message;
        } cases[] = {
                { "[]", "doc: expected an object" },
                { "{\"text\":\"ABC\"}", "doc: text: expected lower case, not \"ABC\"" },
                { "{\"text\":\"abcdef\"}", "doc: text: expected lower case of 0 to 5 bytes" },
                { "{\"text\":null}", "doc: text: expected lower case" },
                { "{\"number\":0}", "doc: number: expected a number from 1 to 100, not 0" },
                { "{\"number\":101}", "doc: number: expected a number from 1 to 100, not 101" },
                { "{\"number\":\"5\"}", "doc: number: expected a number from 1 to 100, not \"5\"" },
                { "{\"number\":13}", "doc: 13 is unlucky" },
                { "{\"duration\":\"2m\"}",
                  "doc: duration: expected a duration such as \"90s\" from 1s to 1m, not \"2m\"" },
                { "{\"duration\":\"5\"}",
                  "doc: duration: expected a duration such as \"90s\" from 1s to 1m, not \"5\"" },
                { "{\"time\":\"1970-01-01T00:00:00Z\"}",
                  "doc: time: expected a time such as \"2026-11-21T09:00:00Z\", not \"1970-01-01T00:00:00Z\"" },
                { "{\"flag\":\"true\"}", "doc: flag: expected true or false, not \"true\"" },
                { "{\"digest\":\"AB\"}",
                  "doc: digest: expected a SHA-256 digest of 64 lower-case hex digits, not \"AB\"" },
                { "{\"bytes\":\"AQI=\"}", "doc: bytes: expected 3 bytes in base64" },
                { "{\"colour\":\"blue\"}", "doc: colour: expected red or green, not \"blue\"" },
                { "{\"inner\":{\"text\":\"a\",\"more\":1}}",
                  "doc: inner.more: not known to muster " MUSTER_VERSION ", which knows text" },
                { "{\"inner\":{}}", "doc: inner.text: missing; expected lower case" },
                { "{\"list\":[\"a\",\"b\",\"c\",\"d\"]}", "doc: list: expected at most 3 elements, found 4" },
                { "{\"list\":[\"a\",5]}", "doc: list[1]: expected lower case, not 5" },
                { "{\"list\":[\"a\",\"b\"]}", "doc: list: two is company" },
                { "{\"list\":\"a\"}", "doc: list: expected a list, not \"a\"" },
                { "{\"items\":{}}", "doc: items: expected at least 1 element, found 0" },
                { "{\"items\":{\"A\":{\"n\":1}}}", "doc: items.A: expected the name of an item" },
                { "{\"items\":{\"a\":{\"n\":1},\"b\":{\"n\":0}}}",
                  "doc: items.b.n: expected a number from 1 to 100, not 0" },
        };

        (void) state;
        for (size_t i = 0; i < ELEMENTSOF(cases); i++)
                assert_refused(&json, cases[i].text, cases[i].message);
}

static void test_untyped(void **state) {
        Everything everything;

        (void) state;
        assert_int_equal(
                read_text(
                        &untyped,
                        "{\"number\":\"5\",\"flag\":\"yes\",\"duration\":\"20\",\"list\":\"a\",\"text\":null,"
                        "\"unknown\":\"x\"}",
                        &everything, NULL),
                0);
        assert_int_equal(everything.number, 5);
        assert_true(everything.flag);
        assert_int_equal(everything.duration, 20 * SECOND);
        assert_int_equal(everything.list.n, 1);
        assert_null(everything.text);
        schema_clear(&everything_type, &everything);
        assert_refused(&untyped, "{\"number\":\"5x\"}",
                       "doc: number: expected a number from 1 to 100, not \"5x\"");
        assert_refused(
                &untyped, "{\"duration\":\"99999999999999999999\"}",
                "doc: duration: expected a number of seconds, or a duration such as \"5m\", from 1s to 1m, not "
                "\"99999999999999999999\"");
        assert_refused(
                &untyped, "{\"duration\":\"18446744073709551\"}",
                "doc: duration: expected a number of seconds, or a duration such as \"5m\", from 1s to 1m, not "
                "\"18446744073709551\"");
        assert_refused(&untyped, "{\"inner\":{\"text\":null}}",
                       "doc: inner.text: missing; expected lower case");
}

static void test_closed(void **state) {
        Everything everything;

        (void) state;
        assert_int_equal(read_text(&json, "{\"hidden\":1}", &everything, NULL), 0);
        schema_clear(&everything_type, &everything);
        assert_refused(&closed, "{\"hidden\":1}",
                       "doc: hidden: not known to muster " MUSTER_VERSION
                       ", which knows text, number, unset, duration, "
                       "time, flag, digest, hex, bytes, colour, inner, list, items, pairs");
        assert_refused(&closed, "{\"items\":{\"a\":{\"n\":1,\"m\":1}}}",
                       "doc: items.a.m: not known to muster " MUSTER_VERSION ", which knows n");
}

static void test_knows(void **state) {
        static const char *const known[] = { "text",  "inner",     "inner.text",  "list",
                                             "items", "items.any", "items.any.n", "pairs.K" };
        static const char *const unknown[] = { "",         ".",           "other",         "tex",
                                               "textt",    "text.",       "text.x",        "inner.other",
                                               "list.a",   "items.any.m", "items.any.n.x", "items.",
                                               "pairs.K.x" };

        (void) state;
        for (size_t i = 0; i < ELEMENTSOF(known); i++)
                if (!schema_knows(&everything_type, known[i]))
                        fail_msg("%s", known[i]);
        for (size_t i = 0; i < ELEMENTSOF(unknown); i++)
                if (schema_knows(&everything_type, unknown[i]))
                        fail_msg("%s", unknown[i]);
}

static void test_critical(void **state) {
        static const struct {
                const char *text;
                int result;
        } cases[] = {
                { "{}", 0 },
                { "{\"critical\":[]}", 0 },
                { "{\"critical\":[\"text\",\"items.a.n\"]}", 0 },
                { "{\"critical\":[\"text\",\"sandbox\"]}", -EPROTONOSUPPORT },
                { "{\"critical\":[\"critical\"]}", -EPROTONOSUPPORT },
                { "{\"critical\":\"text\"}", -EBADMSG },
                { "{\"critical\":null}", -EBADMSG },
                { "{\"critical\":[5]}", -EBADMSG },
        };

        (void) state;
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_json_ json_t *value = json_loads(cases[i].text, 0, NULL);
                JsonField top = json_field_top(&json, value);
                Error error;

                assert_int_equal(schema_check_critical(&everything_type, &top, &error), cases[i].result);
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_round_trips),     cmocka_unit_test(test_leaves_out),
                cmocka_unit_test(test_maps_are_sorted), cmocka_unit_test(test_lists_end_with_zero),
                cmocka_unit_test(test_refuses),         cmocka_unit_test(test_untyped),
                cmocka_unit_test(test_closed),          cmocka_unit_test(test_knows),
                cmocka_unit_test(test_critical),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
