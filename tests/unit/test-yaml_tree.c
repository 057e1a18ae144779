#include <string.h>

#include "agent/base/buffer.h"
#include "agent/base/strv.h"
#include "artifacts/yaml_tree.h"
#include "tests/unit/test.h"

#define LIMIT 65536U

static YamlTree *parse(const char *text) {
        YamlTree *tree;
        Error error = {};

        if (yaml_tree_parse("f.yml", text, strlen(text), LIMIT, &tree, &error) < 0)
                fail_msg("%s\n%s", text, error.message);
        return tree;
}

/* The tree as JSON. */
static void assert_tree(const char *text, const char *expected) {
        _cleanup_(yaml_tree_freep) YamlTree *tree = parse(text);
        JsonField top = yaml_tree_top(tree);
        _cleanup_free_ char *json = NULL;
        size_t size;

        assert_int_equal(json_write(top.value, &json, &size), 0);
        assert_string_equal(json, expected);
}

static void assert_refused(const char *text, size_t size, const char *message) {
        YamlTree *tree = NULL;
        Error error = {};

        if (yaml_tree_parse("f.yml", text, size, LIMIT, &tree, &error) != -EBADMSG)
                fail_msg("%s", text);
        assert_string_equal(error.message, message);
        assert_int_equal(error.fault, FAULT_INPUT);
        assert_null(tree);
}

static void test_scalars_are_text(void **state) {
        (void) state;
        assert_tree(
                "a: 1.10\nb: on\nc: 0x10\nd: 'x'\ne: \"y\\n\"\nf: 2026-11-21\ng: !!int 5\n",
                "{\"a\":\"1.10\",\"b\":\"on\",\"c\":\"0x10\",\"d\":\"x\",\"e\":\"y\\n\",\"f\":\"2026-11-21\",\"g\":\"5\"}");
        assert_tree("a:\nb: ~\nc: null\nd: ''\ne: 'null'\n",
                    "{\"a\":null,\"b\":null,\"c\":null,\"d\":\"\",\"e\":\"null\"}");
        assert_tree("a: |\n  x\n  \ty\nb: >-\n  x\n  y\n", "{\"a\":\"x\\n\\ty\\n\",\"b\":\"x y\"}");
}

static void test_collections(void **state) {
        (void) state;
        assert_tree("a:\n- 1\n- {b: 2, c: [3]}\n", "{\"a\":[\"1\",{\"b\":\"2\",\"c\":[\"3\"]}]}");
        assert_tree("--- # comment\na: 1\n...\n", "{\"a\":\"1\"}");
        assert_tree("\xef\xbb\xbf"
                    "a: gr\xc3\xbc\xc3\x9f\r\nb: 1\r\n",
                    "{\"a\":\"gr\xc3\xbc\xc3\x9f\",\"b\":\"1\"}");
}

static void test_aliases_and_merges(void **state) {
        (void) state;
        assert_tree("a: &x {k: 1}\nb: *x\n", "{\"a\":{\"k\":\"1\"},\"b\":{\"k\":\"1\"}}");
        assert_tree("a: &x {k: 1, l: 2}\nb:\n  l: 3\n  <<: *x\n",
                    "{\"a\":{\"k\":\"1\",\"l\":\"2\"},\"b\":{\"k\":\"1\",\"l\":\"3\"}}");
        assert_tree("a: &x {k: 1}\nb: &y {k: 2, m: 3}\nc:\n  <<: [*x, *y]\n",
                    "{\"a\":{\"k\":\"1\"},\"b\":{\"k\":\"2\",\"m\":\"3\"},\"c\":{\"k\":\"1\",\"m\":\"3\"}}");
        assert_tree("a: {\"<<\": 1}\n", "{\"a\":{\"<<\":\"1\"}}");
}

/* Of a key that stands there twice the last one counts, and its line; what was merged and overridden is nobody's. */
static void test_twice(void **state) {
        static const char text[] = "a: {b: ~}\na: 1\nc:\n  <<: {d: ~, e: 2}\n  d: 3\n  d: ~\n";
        _cleanup_(yaml_tree_freep) YamlTree *tree = NULL;
        char **told;
        JsonField top, c, d;

        (void) state;
        assert_int_equal(yaml_tree_parse("f.yml", text, strlen(text), LIMIT, &tree, NULL), 0);
        top = yaml_tree_top(tree);
        assert_string_equal(json_string_value(json_object_get(top.value, "a")), "1");
        c = json_field_member(&top, "c");
        d = json_field_member(&c, "d");
        assert_true(json_is_null(d.value));
        assert_int_equal(json_field_line(&d), 6);
        told = yaml_tree_take_passed_over(tree);
        assert_int_equal(strv_length(told), 2);
        assert_string_equal(
                told[0], "f.yml:2: a: this key stands here twice; the last one counts, as with CodeDeploy");
        assert_string_equal(
                told[1], "f.yml:6: c.d: this key stands here twice; the last one counts, as with CodeDeploy");
        strv_free(told);
}

/* An empty file may come without a place in memory. */
static void test_nothing(void **state) {
        (void) state;
        assert_refused(NULL, 0, "f.yml: there is nothing in it");
}

static void test_refuses(void **state) {
        static const struct {
                const char *text, *message;
        } cases[] = {
                { "", "f.yml: there is nothing in it" },
                { "# only this\n", "f.yml: there is nothing in it" },
                { "a: 1\n\tb: 2\n", "f.yml:2: indented with a tab; YAML is indented with spaces" },
                { "a:\n\tb: 2\n", "f.yml:2: indented with a tab; YAML is indented with spaces" },
                { "a:\n  b:\n  \tc: 2\n", "f.yml:3: indented with a tab; YAML is indented with spaces" },
                { "a:\n  - b\n\t- c\n", "f.yml:3: indented with a tab; YAML is indented with spaces" },
                { "a: [1\nb: 2\n", "f.yml:2: not valid YAML: did not find expected ',' or ']'" },
                { "a: 'x\n", "f.yml:2: not valid YAML: found unexpected end of stream" },
                { "a: *x\n", "f.yml:1: not valid YAML: found undefined alias" },
                { "a: b: c\n", "f.yml:1: not valid YAML: mapping values are not allowed in this context" },
                { "? [a]\n: 1\n", "f.yml:1: expected a name as the key" },
                { "a: !mine x\n", "f.yml:1: a: the tag !mine is not supported" },
                { "a: !!binary eA==\n", "f.yml:1: a: the tag tag:yaml.org,2002:binary is not supported" },
                { "a: 1\n---\nb: 2\n", "f.yml:3: expected one document, here is another" },
                { "a: \"x\\0y\"\n", "f.yml:1: a: a zero character in a text" },
                { "\"x\\0y\": 1\n", "f.yml:1: expected a name as the key" },
                { "a: &x [*x]\n",
                  "f.yml:1: a[0][0][0][0][0][0][0][0][0][0][0][0][0][0][0]: nested more than 16 levels deep" },
                { "a: [[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]\n",
                  "f.yml:1: a[0][0][0][0][0][0][0][0][0][0][0][0][0][0][0]: nested more than 16 levels deep" },
                { "a: {<<: 1}\n", "f.yml:1: a: <<: expected a mapping to merge" },
                { "a: {<<: [1]}\n", "f.yml:1: a: <<: expected a mapping to merge" },
                { "a: 1\nb: \xff\n", "f.yml:2: not valid UTF-8 text: invalid leading UTF-8 octet" },
                { "a: \x01\n", "f.yml:1: not valid UTF-8 text: control characters are not allowed" },
                { "\xff\xfe"
                  "a",
                  "f.yml:1: not valid UTF-8 text: invalid leading UTF-8 octet" },
        };

        (void) state;
        for (size_t i = 0; i < ELEMENTSOF(cases); i++)
                assert_refused(cases[i].text, strlen(cases[i].text), cases[i].message);
        assert_refused("a: \0", 4, "f.yml:1: not valid UTF-8 text: control characters are not allowed");
}

/* Nine levels of nine aliases each: some hundred bytes that would become 387 million values. */
static void test_expansion_is_limited(void **state) {
        _cleanup_buffer_ Buffer text = {};

        (void) state;
        assert_int_equal(buffer_printf(&text, "a0: &a0 [x,x,x,x,x,x,x,x,x]\n"), 0);
        for (int i = 1; i < 9; i++)
                assert_int_equal(
                        buffer_printf(&text, "a%d: &a%d [*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d]\n", i,
                                      i, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1),
                        0);
        assert_refused(
                buffer_string(&text), text.size,
                "f.yml:1: a4[0][2][0][5][2]: expected at most 10000 values, aliases counted as often as they are used");
}

static void test_limits_are_exact(void **state) {
        static const char deep[] = "a: [[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]\n";
        _cleanup_buffer_ Buffer text = {};

        (void) state;
        assert_tree("a: [[[[[[[[[[[[[[1]]]]]]]]]]]]]]\n", "{\"a\":[[[[[[[[[[[[[[\"1\"]]]]]]]]]]]]]]}");
        assert_refused(
                deep, strlen(deep),
                "f.yml:1: a[0][0][0][0][0][0][0][0][0][0][0][0][0][0][0]: nested more than 16 levels deep");
        /* The mapping and the list count, too. */
        assert_int_equal(buffer_printf(&text, "a:\n"), 0);
        for (unsigned i = 0; i < YAML_TREE_NODES_MAX - 2; i++)
                assert_int_equal(buffer_printf(&text, "- x\n"), 0);
        yaml_tree_free(parse(buffer_string(&text)));
        assert_int_equal(buffer_printf(&text, "- x\n"), 0);
        assert_refused(
                buffer_string(&text), text.size,
                "f.yml:10000: a[9998]: expected at most 10000 values, aliases counted as often as they are used");
}

static void test_size_is_capped(void **state) {
        char text[LIMIT + 1];

        (void) state;
        memset(text, '\n', sizeof(text));
        assert_refused(text, sizeof(text), "f.yml: expected at most 65536 bytes, found 65537");
}

static void test_lines(void **state) {
        _cleanup_(yaml_tree_freep) YamlTree *tree = parse("a: 1\nb:\n  c:\n    - x\n    -\n  d:\n");
        JsonField top = yaml_tree_top(tree), b = json_field_member(&top, "b"), c = json_field_member(&b, "c");
        JsonField x = json_field_element(&c, 0), null = json_field_element(&c, 1),
                  d = json_field_member(&b, "d");
        JsonField none = json_field_member(&b, "e");
        Error error;

        (void) state;
        json_field_fail(&c, &error, "bad");
        assert_string_equal(error.message, "f.yml:3: b.c: bad");
        json_field_fail(&x, &error, "bad");
        assert_string_equal(error.message, "f.yml:4: b.c[0]: bad");
        json_field_fail(&d, &error, "bad");
        assert_string_equal(error.message, "f.yml:6: b.d: bad");
        /* Where there is no value of its own, the line of what is around it. */
        assert_false(json_field_is_set(&null));
        json_field_fail(&null, &error, "bad");
        assert_string_equal(error.message, "f.yml:3: b.c[1]: bad");
        json_field_fail(&none, &error, "bad");
        assert_string_equal(error.message, "f.yml:2: b.e: bad");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_scalars_are_text),
                cmocka_unit_test(test_collections),
                cmocka_unit_test(test_aliases_and_merges),
                cmocka_unit_test(test_refuses),
                cmocka_unit_test(test_nothing),
                cmocka_unit_test(test_twice),
                cmocka_unit_test(test_expansion_is_limited),
                cmocka_unit_test(test_limits_are_exact),
                cmocka_unit_test(test_size_is_capped),
                cmocka_unit_test(test_lines),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
