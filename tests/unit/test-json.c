#include <string.h>

#include "artifacts/json.h"
#include "tests/unit/test.h"

#define LIMIT 4096U

static json_t *read_text(const char *text) {
        json_t *value;
        Error error = {};

        if (json_read("doc", text, strlen(text), LIMIT, &value, &error) < 0)
                fail_msg("%s: %s", text, error.message);
        return value;
}

static void assert_refused(const void *data, size_t size, const char *message) {
        json_t *value = NULL;
        Error error = {};

        assert_int_equal(json_read("doc", data, size, LIMIT, &value, &error), -EBADMSG);
        assert_string_equal(error.message, message);
        assert_int_equal(error.fault, FAULT_INPUT);
        assert_null(value);
}

static void test_refuses(void **state) {
        static const struct {
                const char *text, *message;
        } cases[] = {
                { "", "doc: not valid JSON: line 1: '[' or '{' expected near end of file" },
                { "5", "doc: not valid JSON: line 1: '[' or '{' expected near '5'" },
                { "{\n\"a\":1,\n\"a\":2}", "doc: not valid JSON: line 3: duplicate object key near '\"a\"'" },
                { "{} {}", "doc: not valid JSON: line 1: end of file expected near '{'" },
                { "{\"a\":01}", "doc: not valid JSON: line 1: invalid token near '0'" },
                { "{\"a\":99999999999999999999}",
                  "doc: not valid JSON: line 1: too big integer near '99999999999999999999'" },
                { "{\"a\":NaN}", "doc: not valid JSON: line 1: invalid token near 'NaN'" },
                { "{\"a\":\"\\u0000\"}", "doc: not valid JSON: line 1: a zero character in a text" },
                { "{\"\\u0000\":1}", "doc: not valid JSON: line 1: a zero character in a text" },
                { "{\"a\":\"\xff\"}", "doc: not valid JSON: line 1: unable to decode byte 0xff near '\"'" },
                { "{\"a\":\"\\ud800\"}",
                  "doc: not valid JSON: line 1: invalid Unicode '\\uD800' near '\"\\ud800\"'" },
                { "{\"a\":1,}", "doc: not valid JSON: line 1: string or '}' expected near '}'" },
        };

        (void) state;
        for (size_t i = 0; i < ELEMENTSOF(cases); i++)
                assert_refused(cases[i].text, strlen(cases[i].text), cases[i].message);
        assert_refused("{\"a\":\0 1}", 9, "doc: not valid JSON: line 1: invalid token near end of file");
}

static void test_size_is_capped(void **state) {
        char text[LIMIT + 1];
        json_t *value;

        (void) state;
        memset(text, ' ', sizeof(text));
        memcpy(text, "{}", 2);
        assert_int_equal(json_read("doc", text, LIMIT, LIMIT, &value, NULL), 0);
        json_decref(value);
        assert_refused(text, LIMIT + 1, "doc: expected at most 4096 bytes, found 4097");
}

static void test_depth_is_capped(void **state) {
        _cleanup_json_ json_t *quoted = NULL;
        char text[2 * JSON_DEPTH_MAX + 3];
        json_t *value;

        (void) state;
        memset(text, '[', JSON_DEPTH_MAX);
        memset(text + JSON_DEPTH_MAX, ']', JSON_DEPTH_MAX);
        assert_int_equal(json_read("doc", text, 2 * JSON_DEPTH_MAX, LIMIT, &value, NULL), 0);
        json_decref(value);
        memset(text, '[', JSON_DEPTH_MAX + 1);
        memset(text + JSON_DEPTH_MAX + 1, ']', JSON_DEPTH_MAX + 1);
        assert_refused(text, 2 * JSON_DEPTH_MAX + 2, "doc: nested more than 16 levels deep");
        /* Brackets in a text are text, also after an escaped quotation mark, and siblings are not deeper. */
        quoted = read_text(
                "[\"\\\"[[[[[[[[[[[[[[[[[[\",[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[]]");
}

static void test_writes_canonically(void **state) {
        _cleanup_json_ json_t *value =
                read_text("{ \"b\": [1, \"\\u00e4\\n\\/\"], \"a\": {\"z\":null, \"y\":true} }");
        _cleanup_free_ char *text = NULL;
        size_t size;

        (void) state;
        assert_int_equal(json_write(value, &text, &size), 0);
        assert_string_equal(text, "{\"a\":{\"y\":true,\"z\":null},\"b\":[1,\"\xc3\xa4\\n/\"]}");
        assert_int_equal(size, strlen(text));
}

static void test_names_the_field(void **state) {
        _cleanup_json_ json_t *value = read_text("{\"a\":{\"b\\nc\":[5,\"x\\u0007y\",1.5]}}");
        JsonSource source = { .name = "release api 1.4.2" };
        JsonField top = json_field_top(&source, value), a = json_field_member(&top, "a");
        JsonField list = json_field_member(&a, "b\nc"), number = json_field_element(&list, 0);
        JsonField text = json_field_element(&list, 1), real = json_field_element(&list, 2);
        JsonField none = json_field_member(&list, "size");
        Error error;

        (void) state;
        assert_int_equal(json_field_fail(&top, &error, "bad %d", 1), -EBADMSG);
        assert_string_equal(error.message, "release api 1.4.2: bad 1");
        assert_int_equal(json_field_expected(&number, &error, "text"), -EBADMSG);
        assert_string_equal(error.message, "release api 1.4.2: a.b?c[0]: expected text, not 5");
        json_field_expected(&text, &error, "a number");
        assert_string_equal(error.message, "release api 1.4.2: a.b?c[1]: expected a number, not \"x?y\"");
        json_field_expected(&real, &error, "a number");
        assert_string_equal(error.message, "release api 1.4.2: a.b?c[2]: expected a number");
        assert_false(json_field_is_set(&none));
        json_field_expected(&none, &error, "a number of bytes");
        assert_string_equal(error.message,
                            "release api 1.4.2: a.b?c.size: missing; expected a number of bytes");
        assert_int_equal(json_field_fail(&top, NULL, "nobody listens"), -EBADMSG);
}

static void test_excerpt(void **state) {
        char text[JSON_EXCERPT_MAX + 4], long_text[JSON_EXCERPT_MAX + 9];

        (void) state;
        json_excerpt("a\tb\x7f\xc3\xa4", text);
        assert_string_equal(text, "a?b?\xc3\xa4");
        memset(long_text, 'x', sizeof(long_text));
        long_text[JSON_EXCERPT_MAX] = '\0';
        json_excerpt(long_text, text);
        assert_string_equal(text, long_text);
        /* Cut before a character that would not fit as a whole. */
        memcpy(long_text + JSON_EXCERPT_MAX - 1, "\xc3\xa4", 3);
        json_excerpt(long_text, text);
        assert_int_equal(strlen(text), JSON_EXCERPT_MAX - 1 + 3);
        assert_string_equal(text + JSON_EXCERPT_MAX - 2, "x...");
}

static void test_long_paths_are_cut(void **state) {
        JsonSource source = { .name = "doc" };
        JsonField fields[64] = { json_field_top(&source, NULL) };
        Error error;

        (void) state;
        for (size_t i = 1; i < ELEMENTSOF(fields); i++)
                fields[i] = (JsonField){ .source = &source,
                                         .parent = fields + i - 1,
                                         .key = "a_key_that_is_not_short_at_all_but_quite_long" };
        json_field_fail(fields + 63, &error, "bad");
        assert_true(strlen(error.message) < 600);
}

static int stamp(json_t *string, const char *key) {
        _cleanup_free_ char *text = NULL;

        if (strcmp(json_string_value(string), "refuse") == 0)
                return -EPERM;
        assert_true(asprintf(&text, "%s=%s", key ? key : "-", json_string_value(string)) > 0);
        return json_string_set(string, text);
}

static void test_changes_strings(_unused_ void **state) {
        json_auto_t *value = json_loads("{\"a\":\"x\",\"b\":[\"y\",1,{\"c\":\"z\"}],\"d\":null}", 0, NULL),
                    *refused = json_loads("[\"refuse\",\"y\"]", 0, NULL), *alone = json_string("x");
        _cleanup_free_ char *text = NULL;

        assert_int_equal(json_change_strings(value, stamp), 0);
        assert_int_equal(json_write(value, &text, NULL), 0);
        assert_string_equal(text, "{\"a\":\"a=x\",\"b\":[\"-=y\",1,{\"c\":\"c=z\"}],\"d\":null}");
        assert_int_equal(json_change_strings(refused, stamp), -EPERM);
        assert_string_equal(json_string_value(json_array_get(refused, 1)), "y");
        assert_int_equal(json_change_strings(alone, stamp), 0);
        assert_string_equal(json_string_value(alone), "-=x");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_refuses),
                cmocka_unit_test(test_size_is_capped),
                cmocka_unit_test(test_depth_is_capped),
                cmocka_unit_test(test_writes_canonically),
                cmocka_unit_test(test_names_the_field),
                cmocka_unit_test(test_excerpt),
                cmocka_unit_test(test_long_paths_are_cut),
                cmocka_unit_test(test_changes_strings),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
