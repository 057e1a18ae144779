#include <string.h>

#include "tests/unit/test.h"

#include "agent/base/strv.h"
#include "artifacts/file_source.h"
#include "artifacts/tree_manifest.h"

static const TreeEntry tree[] = {
        { .type = ENTRY_FOLDER, .mode = 0755, .path = "build" },
        { .type = ENTRY_FOLDER, .mode = 0755, .path = "build/7" },
        { .type = ENTRY_LINK, .target = "../../web", .path = "build/7/web" },
        { .type = ENTRY_LINK, .target = "build/./latest", .path = "dist" },
        { .type = ENTRY_LINK, .target = "index", .path = "file" },
        { .type = ENTRY_LINK, .target = "loop", .path = "loop" },
        { .type = ENTRY_LINK, .target = "nothing", .path = "missing" },
        { .type = ENTRY_LINK, .target = ".", .path = "self" },
        { .type = ENTRY_FOLDER, .mode = 0755, .path = "web" },
        { .type = ENTRY_FOLDER, .mode = 0755, .path = "web/img" },
};

static int resolve(const char *source, char **ret, Error *error) {
        ReleaseFile file = { .source = strdup(source) };
        ReleaseFiles files = { .items = &file, .n = 1 };
        _cleanup_buffer_ Buffer manifest = {};
        int r;

        assert_int_equal(buffer_printf(&manifest, TREE_MANIFEST_HEADER), 0);
        for (size_t i = 0; i < ELEMENTSOF(tree); i++) {
                TreeEntry entry = tree[i];

                if (i == 3) { /* in its place in the order of lines */
                        const TreeEntry latest = { .type = ENTRY_LINK,
                                                   .target = "7",
                                                   .path = "build/latest" };

                        assert_int_equal(tree_entry_write(&latest, &manifest), 0);
                }
                assert_int_equal(tree_entry_write(&entry, &manifest), 0);
        }
        r = file_source_resolve(&files, manifest.data, manifest.size, error);
        *ret = file.source;
        return r;
}

static void check(const char *source, const char *expected) {
        _cleanup_free_ char *found = NULL;
        Error error = {};

        if (resolve(source, &found, &error) < 0)
                fail_msg("%s: %s", source, error.message);
        assert_string_equal(found, expected);
}

static void test_resolve(_unused_ void **state) {
        check("", "");
        check("web", "web");
        check("webbing", "webbing");
        check("dist", "build/7");
        check("dist/web", "web");
        check("dist/web/img", "web/img");
        check("dist/web/none", "web/none");
        check("self", "");
        check("self/web", "web");
        check("self/self/file", "file");
}

/* These are installed as links, or are not there at all. */
static void test_stays(_unused_ void **state) {
        check("file", "file");
        check("missing", "missing");
        check("loop", "loop");
}

static void test_no_manifest(_unused_ void **state) {
        ReleaseFiles files = {};

        assert_int_equal(file_source_resolve(&files, "nonsense\n", 9, NULL), -EBADMSG);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_resolve),
                cmocka_unit_test(test_stays),
                cmocka_unit_test(test_no_manifest),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
