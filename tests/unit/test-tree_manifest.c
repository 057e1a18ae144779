#include <string.h>
#include <sys/stat.h>

#include "tests/unit/test.h"

#include "agent/base/hex.h"
#include "artifacts/tree_builder.h"
#include "artifacts/tree_manifest.h"

#define SHA "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define HEADER TREE_MANIFEST_HEADER

static const char whole[] = HEADER "d\t0755\tbin\n"
                                   "f\t0755\t0\t" SHA "\tbin/app\n"
                                   "l\t../etc/a b\tbin/link\n"
                                   "d\t0700\tbin/sub\n"
                                   "f\t0444\t1099511627776\t" SHA "\tbin/sub/x\n"
                                   "f\t0644\t7\t" SHA "\tbin-2\n"
                                   "f\t0644\t7\t" SHA "\t\xc3\xa4\n";

static int read_all(const char *text, size_t size, Buffer *again, Error *error) {
        TreeReader reader = { .data = text, .size = size };
        TreeEntry entry;
        int r;

        while ((r = tree_reader_next(&reader, &entry, error)) > 0)
                assert_int_equal(tree_entry_write(&entry, again), 0);
        return r;
}

static void test_both_ways(_unused_ void **state) {
        _cleanup_buffer_ Buffer again = {};
        Error error = {};

        assert_int_equal(buffer_append(&again, HEADER, strlen(HEADER), SIZE_MAX), 0);
        if (read_all(whole, strlen(whole), &again, &error) < 0)
                fail_msg("%s", error.message);
        assert_string_equal(buffer_string(&again), whole);
        assert_int_equal(read_all(HEADER, strlen(HEADER), &again, NULL), 0);
}

static void test_order(_unused_ void **state) {
        static const char *const sorted[] = { "a",  "a/b", "a/b/c", "a/b\x01", "a/bc",    "a\x01",
                                              "a-", "a.b", "aa",    "b",       "\xc3\xa4" };

        for (size_t i = 0; i < ELEMENTSOF(sorted); i++)
                for (size_t j = 0; j < ELEMENTSOF(sorted); j++) {
                        int order = tree_path_compare(sorted[i], sorted[j]);

                        assert_int_equal(order < 0, i < j);
                        assert_int_equal(order > 0, i > j);
                }
}

static void test_refused(_unused_ void **state) {
        static const struct {
                const char *text, *message;
        } cases[] = {
                { "", "line 1: this is no manifest of a tree" },
                { "muster-tree 2\n", "line 1: this is no manifest of a tree" },
                { HEADER "d\t0755\tbin", "line 2: it has no end" },
                { HEADER "\n", "line 2: it is neither a folder's nor a file's nor a link's" },
                { HEADER "d\t0755\t..\n", "line 2: its name has \"..\" in it" },
                { HEADER "d\t0755\ta\nf\t0644\t0\t" SHA "\ta/../b\n", "line 3: its name has \"..\" in it" },
                { HEADER "d\t0755\t/bin\n", "line 2: its name is an absolute path" },
                { HEADER "d\t0755\tbin/\n", "line 2: its name is not in its shortest form" },
                { HEADER "d\t0755\t./bin\n", "line 2: its name is not in its shortest form" },
                { HEADER "d\t0755\t\n", "line 2: its name is empty or too long" },
                { HEADER "d\t0755\ta\rb\n", "line 2: its name is not UTF-8 text, or has control characters" },
                { HEADER "d\t0755\ta\nb\n", "line 3: it is neither a folder's nor a file's nor a link's" },
                { HEADER "d\t0755\t\xff\n", "line 2: its name is not UTF-8 text, or has control characters" },
                { HEADER "d\t0655\tbin\n", "line 2: its mode is none that a release has" },
                { HEADER "f\t4755\t0\t" SHA "\ta\n", "line 2: its mode is none that a release has" },
                { HEADER "f\t0777\t0\t" SHA "\ta\n", "line 2: its mode is none that a release has" },
                { HEADER "d\t0775\ta\n", "line 2: its mode is none that a release has" },
                { HEADER "f\t755\t0\t" SHA "\ta\n", "line 2: its mode is none that a release has" },
                { HEADER "f\t07 5\t0\t" SHA "\ta\n", "line 2: its mode is no octal number" },
                { HEADER "f\t0644\t\t" SHA "\ta\n", "line 2: its size is no number" },
                { HEADER "f\t0644\t00\t" SHA "\ta\n", "line 2: its size is no number" },
                { HEADER "f\t0644\t-1\t" SHA "\ta\n", "line 2: its size is no number" },
                { HEADER "f\t0644\t1099511627777\t" SHA "\ta\n", "line 2: its size is no number" },
                { HEADER "f\t0644\t0\tabc\ta\n", "line 2: its digest is none" },
                { HEADER "f\t0644\t0\t" SHA "\ta\t\n", "line 2: it has too many fields" },
                { HEADER "l\t/etc/passwd\ta\n", "line 2: it links to an absolute path, out of the release" },
                { HEADER "l\t../x\ta\n", "line 2: it links out of the release" },
                { HEADER "h\t0644\ta\n", "line 2: it is neither a folder's nor a file's nor a link's" },
                { HEADER "d\t0755\tb\nd\t0755\ta\n", "line 3: it is not in its place" },
                { HEADER "d\t0755\ta\nd\t0755\ta\n", "line 3: it is not in its place" },
                { HEADER "d\t0755\ta-\nd\t0755\ta\n", "line 3: it is not in its place" },
                { HEADER "d\t0755\ta/b\n", "line 2: it lies in something that is no folder" },
                { HEADER "f\t0644\t0\t" SHA "\ta\nd\t0755\ta/b\n",
                  "line 3: it lies in something that is no folder" },
                { HEADER "d\t0755\ta\nd\t0755\tab/c\n", "line 3: it lies in something that is no folder" },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_buffer_ Buffer again = {};
                Error error = {};

                assert_int_equal(read_all(cases[i].text, strlen(cases[i].text), &again, &error), -EBADMSG);
                assert_string_equal(error.message, cases[i].message);
                assert_int_equal(error.fault, FAULT_HOST);
        }
}

static void test_zero_byte(_unused_ void **state) {
        static const char text[] = HEADER "d\t0755\ta\0b\n";
        _cleanup_buffer_ Buffer again = {};

        assert_int_equal(read_all(text, sizeof(text) - 1, &again, NULL), -EBADMSG);
}

static void add(TreeBuilder *builder, UnpackEntry entry, const char *content) {
        entry.size = content ? strlen(content) : 0;
        assert_int_equal(tree_builder_entry(builder, &entry), 0);
        if (content)
                assert_int_equal(tree_builder_data(builder, content, strlen(content)), 0);
}

/* In the order of an archive: folders implied and named later, hard links, one through another. */
static void test_builder(_unused_ void **state) {
        static const char expected[] =
                HEADER "d\t0711\ta\n"
                       "f\t0755\t3\tba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\ta/b\n"
                       "f\t0755\t3\tba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\ta/c\n"
                       "f\t0755\t3\tba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\ta-\n"
                       "f\t0600\t0\t" SHA "\tempty\n"
                       "l\ta/b\tz\n";
        _cleanup_(tree_builder_freep) TreeBuilder *builder = NULL;
        uint8_t sha256[DIGEST_SIZE], again[DIGEST_SIZE];
        _cleanup_buffer_ Buffer text = {};

        assert_int_equal(tree_builder_new(&builder), 0);
        add(builder, (UnpackEntry){ .type = ENTRY_LINK, .path = "z", .target = "a/b" }, NULL);
        add(builder, (UnpackEntry){ .type = ENTRY_FOLDER, .path = "a", .mode = 0755, .implied = true }, NULL);
        add(builder, (UnpackEntry){ .type = ENTRY_FILE, .path = "a/b", .mode = 0755 }, "abc");
        add(builder, (UnpackEntry){ .type = ENTRY_FILE, .path = "empty", .mode = 0600 }, NULL);
        add(builder, (UnpackEntry){ .type = ENTRY_HARD_LINK, .path = "a-", .target = "a/b" }, NULL);
        add(builder, (UnpackEntry){ .type = ENTRY_HARD_LINK, .path = "a/c", .target = "a-" }, NULL);
        add(builder, (UnpackEntry){ .type = ENTRY_FOLDER, .path = "a", .mode = 0711, .exists = true }, NULL);
        assert_int_equal(tree_builder_finish(builder, &text, sha256), 0);
        assert_string_equal(buffer_string(&text), expected);
        assert_int_equal(digest_sha256(expected, strlen(expected), again), 0);
        assert_memory_equal(sha256, again, sizeof(again));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_both_ways), cmocka_unit_test(test_order),
                cmocka_unit_test(test_refused),   cmocka_unit_test(test_zero_byte),
                cmocka_unit_test(test_builder),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
