#include <string.h>

#include "tests/unit/test.h"

#include "artifacts/entry_tree.h"

static int setup(void **state) {
        EntryTree *tree;

        assert_int_equal(entry_tree_new(1000000, &tree), 0);
        *state = tree;
        return 0;
}

static int teardown(void **state) {
        entry_tree_free(*state);
        return 0;
}

static int add(EntryTree *tree, const char *path, EntryType type) {
        return entry_tree_add(tree, path, type, NULL, NULL, NULL);
}

static void test_duplicates(void **state) {
        EntryTree *tree = *state;

        assert_int_equal(add(tree, "a", ENTRY_FOLDER), 0);
        assert_int_equal(add(tree, "a/x", ENTRY_FILE), 0);
        assert_int_equal(add(tree, "a/x", ENTRY_FILE), -EBADMSG);
        assert_int_equal(add(tree, "a/x", ENTRY_FOLDER), -EBADMSG);
        assert_int_equal(add(tree, "a/x", ENTRY_LINK), -EBADMSG);
        assert_int_equal(add(tree, "a", ENTRY_FOLDER), -EBADMSG);
        assert_int_equal(add(tree, "a", ENTRY_FILE), -EBADMSG);
        assert_int_equal(add(tree, "x", ENTRY_FILE), 0);
        assert_int_equal(entry_tree_count(tree), 3);
}

static void test_beneath(void **state) {
        EntryTree *tree = *state;

        assert_int_equal(add(tree, "file", ENTRY_FILE), 0);
        assert_int_equal(add(tree, "file/x", ENTRY_FILE), -EBADMSG);
        assert_int_equal(add(tree, "link", ENTRY_LINK), 0);
        assert_int_equal(add(tree, "link/x", ENTRY_FILE), -EBADMSG);
        assert_int_equal(add(tree, "link/x/y", ENTRY_FOLDER), -EBADMSG);
}

static int collect(const char *path, void *userdata, _unused_ Error *error) {
        strcat(strcat(userdata, path), " ");
        return 0;
}

static int full(_unused_ const char *path, _unused_ void *userdata, Error *error) {
        return error_set(error, -ENOSPC, "full");
}

static void test_implied(void **state) {
        EntryTree *tree = *state;
        char implied[256] = "";
        Error error = {};

        assert_int_equal(entry_tree_add(tree, "a/b/c", ENTRY_FILE, collect, implied, NULL), 0);
        assert_string_equal(implied, "a a/b ");
        assert_int_equal(entry_tree_add(tree, "a/b/d", ENTRY_FILE, collect, implied, NULL), 0);
        assert_int_equal(entry_tree_add(tree, "a/e", ENTRY_FILE, collect, implied, NULL), 0);
        assert_string_equal(implied, "a a/b ");
        assert_int_equal(entry_tree_count(tree), 5);
        assert_int_equal(add(tree, "a/b", ENTRY_FOLDER), 1);
        assert_int_equal(add(tree, "a/b", ENTRY_FOLDER), -EBADMSG);
        assert_int_equal(add(tree, "a", ENTRY_FILE), -EBADMSG);
        assert_int_equal(entry_tree_count(tree), 5);
        assert_int_equal(entry_tree_add(tree, "z/f", ENTRY_FILE, full, NULL, &error), -ENOSPC);
        assert_string_equal(error.message, "full");
}

static void test_hard_links(void **state) {
        EntryTree *tree = *state;

        assert_int_equal(add(tree, "a/file", ENTRY_FILE), 0);
        assert_int_equal(add(tree, "link", ENTRY_LINK), 0);
        assert_int_equal(entry_tree_check_file(tree, "a/file", NULL), 0);
        assert_int_equal(entry_tree_check_file(tree, "a", NULL), -EBADMSG);
        assert_int_equal(entry_tree_check_file(tree, "link", NULL), -EBADMSG);
        assert_int_equal(entry_tree_check_file(tree, "a/other", NULL), -EBADMSG);
        assert_int_equal(entry_tree_check_file(tree, "", NULL), -EBADMSG);
        assert_int_equal(add(tree, "a/name", ENTRY_HARD_LINK), 0);
        assert_int_equal(entry_tree_check_file(tree, "a/name", NULL), 0);
}

static void test_limit(_unused_ void **state) {
        _cleanup_(entry_tree_freep) EntryTree *tree = NULL;
        Error error = {};

        assert_int_equal(entry_tree_new(3, &tree), 0);
        assert_int_equal(add(tree, "a/b", ENTRY_FILE), 0);
        assert_int_equal(add(tree, "c", ENTRY_FILE), 0);
        assert_int_equal(entry_tree_add(tree, "d", ENTRY_FILE, NULL, NULL, &error), -EBADMSG);
        assert_string_equal(error.message, "with it there are more than 3 entries");
        assert_int_equal(error.fault, FAULT_RELEASE);
        assert_int_equal(entry_tree_count(tree), 3);
}

/* Grows many times and forgets nothing. */
static void test_many(void **state) {
        EntryTree *tree = *state;
        char path[64];

        for (unsigned i = 0; i < 50000; i++) {
                (void) snprintf(path, sizeof(path), "d%u/e%u/f%u", i % 7, i % 1009, i);
                assert_int_equal(add(tree, path, ENTRY_FILE), 0);
        }
        for (unsigned i = 0; i < 50000; i++) {
                (void) snprintf(path, sizeof(path), "d%u/e%u/f%u", i % 7, i % 1009, i);
                assert_int_equal(add(tree, path, ENTRY_FILE), -EBADMSG);
        }
        assert_int_equal(entry_tree_count(tree), 50000 + 7 + 7 * 1009);
}

static void test_memory(void **state) {
        EntryTree *tree = *state;
        char path[256];
        Error error = {};
        unsigned i;
        int r = 0;

        memset(path, 'x', sizeof(path));
        path[255] = '\0';
        for (i = 0; r == 0 && i < 1000000; i++) {
                path[snprintf(path, sizeof(path), "%u", i)] = 'x';
                r = entry_tree_add(tree, path, ENTRY_FILE, NULL, NULL, &error);
        }
        assert_int_equal(r, -EBADMSG);
        assert_in_range(i, 100000, 300000);
        assert_string_equal(error.message, "the names in the archive take more than 64 MiB");
}

#define TREE_TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                TREE_TEST(test_duplicates),   TREE_TEST(test_beneath), TREE_TEST(test_implied),
                TREE_TEST(test_hard_links),   TREE_TEST(test_many),    TREE_TEST(test_memory),
                cmocka_unit_test(test_limit),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
