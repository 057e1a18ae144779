#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/test.h"

#include "agent/base/file.h"
#include "artifacts/archive_inspect.h"
#include "artifacts/pack.h"
#include "artifacts/tree_check.h"

static void write_file(int dirfd, const char *path, const char *content, mode_t mode) {
        _cleanup_close_ int fd = openat(dirfd, path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

        assert_true(fd >= 0);
        assert_int_equal(file_write_fd(fd, content, strlen(content)), 0);
        assert_int_equal(fchmod(fd, mode), 0);
}

static int add_text(const void *data, size_t size, void *userdata) {
        return buffer_append(userdata, data, size, SIZE_MAX);
}

static int add_drift(const TreeDrift *drift, void *userdata, _unused_ Error *error) {
        return buffer_printf(userdata, "%s %s: %s\n", tree_drift_kind_to_string(drift->kind), drift->path,
                             drift->detail);
}

typedef struct Tree {
        int fd;
        Buffer manifest;
        uint8_t sha256[DIGEST_SIZE];
} Tree;

/* Around the size of the pieces in which files are read: whole ones, a byte less, a byte more. */
static void write_large_files(int dirfd) {
        static const int sizes[] = { (64 << 10) - 1, 64 << 10, (64 << 10) + 1, 128 << 10 };

        for (size_t i = 0; i < ELEMENTSOF(sizes); i++) {
                _cleanup_free_ char *name = NULL, *content = NULL;

                assert_true(asprintf(&name, "large%zu", i) > 0);
                assert_true(asprintf(&content, "%0*d", sizes[i], 1) == sizes[i]);
                write_file(dirfd, name, content, 0644);
        }
}

static void make_tree(const TestFolder *f, Tree *tree) {
        Error error = {};

        assert_int_equal(mkdirat(f->fd, "tree", 0755), 0);
        tree->fd = openat(f->fd, "tree", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        assert_true(tree->fd >= 0);
        assert_int_equal(mkdirat(tree->fd, "bin", 0755), 0);
        assert_int_equal(mkdirat(tree->fd, "bin/deep", 0755), 0);
        write_file(tree->fd, "bin/app", "program", 0755);
        write_file(tree->fd, "bin/deep/x", "", 0644);
        write_file(tree->fd, "bin.conf", "a = 1", 0644);
        write_large_files(tree->fd);
        assert_int_equal(symlinkat("bin/app", tree->fd, "link"), 0);
        if (tree_describe(tree->fd, add_text, &tree->manifest, tree->sha256, &error) < 0)
                fail_msg("%s", error.message);
}

static void tree_deinit(Tree *tree) {
        close_fd(tree->fd);
        buffer_deinit(&tree->manifest);
}

static void expect_as(const Tree *tree, const TreeRules *rules, const char *drifts) {
        _cleanup_buffer_ Buffer text = {};
        Error error = {};

        if (tree_check(tree->fd, tree->manifest.data, tree->manifest.size, rules, add_drift, &text, &error) <
            0)
                fail_msg("%s", error.message);
        assert_string_equal(buffer_string(&text), drifts);
}

static void expect(const Tree *tree, const char *drifts) {
        const TreeRules mine = { .uid = getuid(), .gid = getgid() };

        expect_as(tree, &mine, drifts);
}

/* What the packer's archive unpacks to and what lies on the disk have one digest, whatever way it is made. */
static void test_same_digest(void **state) {
        TestFolder *f = *state;
        _cleanup_(tree_deinit) Tree tree = {};
        _cleanup_close_ int archive = -1;
        ArchiveFacts facts = {};
        PackResult result;
        Error error = {};

        make_tree(f, &tree);
        archive = openat(f->fd, "archive", O_RDWR | O_CREAT | O_EXCL, 0600);
        assert_int_equal(pack_folder(tree.fd, archive, NULL, &result, &error), 0);
        assert_int_equal(archive_inspect(archive, NULL, &facts, &error), 0);
        assert_memory_equal(facts.tree_sha256, tree.sha256, sizeof(tree.sha256));
        expect(&tree, "");
}

static void test_drift(void **state) {
        TestFolder *f = *state;
        _cleanup_(tree_deinit) Tree tree = {};

        make_tree(f, &tree);
        write_file(tree.fd, "bin/app", "Program", 0755);
        expect(&tree, "changed bin/app: other content\n");
        write_file(tree.fd, "bin/app", "program!", 0755);
        expect(&tree, "changed bin/app: 8 bytes, expected 7\n");
        write_file(tree.fd, "bin/app", "program", 0777);
        expect(&tree, "mode bin/app: mode 0777, expected 0755\n");
        write_file(tree.fd, "bin/app", "program", 0755);
        expect(&tree, "");
        assert_int_equal(unlinkat(tree.fd, "link", 0), 0);
        expect(&tree, "missing link: it is not there\n");
        assert_int_equal(symlinkat("bin", tree.fd, "link"), 0);
        expect(&tree, "changed link: links to somewhere else\n");
        assert_int_equal(unlinkat(tree.fd, "link", 0), 0);
        write_file(tree.fd, "link", "", 0644);
        expect(&tree, "changed link: it is a file, expected a link\n");
        assert_int_equal(unlinkat(tree.fd, "link", 0), 0);
        assert_int_equal(symlinkat("bin/app", tree.fd, "link"), 0);
        assert_int_equal(fchmod(tree.fd, 0700), 0);
        expect(&tree, "mode .: mode 0700, expected 0755\n");
}

/* A folder in a release's place is not looked into, nor is a whole folder that no release has. */
static void test_shapes(void **state) {
        TestFolder *f = *state;
        _cleanup_(tree_deinit) Tree tree = {};

        make_tree(f, &tree);
        assert_int_equal(mkdirat(tree.fd, "bin/__cache__", 0755), 0);
        write_file(tree.fd, "bin/__cache__/1", "", 0644);
        write_file(tree.fd, "zz", "", 0644);
        assert_int_equal(mkfifoat(tree.fd, "a\nb", 0600), 0);
        expect(&tree, "extra a\nb: neither folder nor file nor link that is not in the release\n"
                      "extra bin/__cache__: a folder that is not in the release\n"
                      "extra zz: a file that is not in the release\n");
        assert_int_equal(file_remove_tree_at(tree.fd, "bin/__cache__"), 0);
        assert_int_equal(unlinkat(tree.fd, "zz", 0), 0);
        assert_int_equal(unlinkat(tree.fd, "a\nb", 0), 0);
        assert_int_equal(file_remove_tree_at(tree.fd, "bin/deep"), 0);
        expect(&tree, "missing bin/deep: it is not there\nmissing bin/deep/x: it is not there\n");
        write_file(tree.fd, "bin/deep", "", 0644);
        expect(&tree,
               "changed bin/deep: it is a file, expected a folder\nmissing bin/deep/x: it is not there\n");
        assert_int_equal(file_remove_tree_at(tree.fd, "bin"), 0);
        assert_int_equal(unlinkat(tree.fd, "bin.conf", 0), 0);
        assert_int_equal(unlinkat(tree.fd, "link", 0), 0);
        expect(&tree, "missing bin: it is not there\nmissing bin/app: it is not there\n"
                      "missing bin/deep: it is not there\nmissing bin/deep/x: it is not there\n"
                      "missing bin.conf: it is not there\nmissing link: it is not there\n");
}

/* The file system need not write down that it was read. */
static void test_leaves_no_mark(void **state) {
        static const char *const paths[] = { ".", "bin", "bin/app", "bin/deep", "bin.conf" };
        const struct timespec old[2] = { { .tv_sec = 1 }, { .tv_nsec = UTIME_OMIT } };
        TestFolder *f = *state;
        _cleanup_(tree_deinit) Tree tree = {};
        struct stat st;

        make_tree(f, &tree);
        for (size_t i = 0; i < ELEMENTSOF(paths); i++)
                assert_int_equal(utimensat(tree.fd, paths[i], old, 0), 0);
        expect(&tree, "");
        for (size_t i = 0; i < ELEMENTSOF(paths); i++) {
                assert_int_equal(fstatat(tree.fd, paths[i], &st, 0), 0);
                assert_int_equal(st.st_atim.tv_sec, 1);
        }
}

static void test_owner(void **state) {
        TestFolder *f = *state;
        _cleanup_(tree_deinit) Tree tree = {};
        const TreeRules others = { .uid = getuid() + 1, .gid = getgid() };
        _cleanup_buffer_ Buffer text = {};

        make_tree(f, &tree);
        assert_int_equal(
                tree_check(tree.fd, tree.manifest.data, tree.manifest.size, &others, add_drift, &text, NULL),
                0);
        assert_non_null(strstr(buffer_string(&text), "owner bin/app: belongs to "));
        assert_non_null(strstr(buffer_string(&text), "owner .: belongs to "));
}

/* Lines that no manifest has; what it says cannot lead out of the tree. */
static void test_bad_manifest(void **state) {
        static const char *const bad[] = {
                "",
                "x",
                TREE_MANIFEST_HEADER "d\t0755\t../outside\n",
                TREE_MANIFEST_HEADER "d\t0755\ta\nb\n",
        };
        TestFolder *f = *state;
        _cleanup_(tree_deinit) Tree tree = {};
        const TreeRules mine = { .uid = getuid(), .gid = getgid() };

        make_tree(f, &tree);
        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                _cleanup_buffer_ Buffer text = {};

                assert_int_equal(tree_check(tree.fd, bad[i], strlen(bad[i]), &mine, add_drift, &text, NULL),
                                 -EBADMSG);
        }
}

/* A tree that no archive could have made has no manifest. */
static void test_no_release(void **state) {
        TestFolder *f = *state;
        _cleanup_(tree_deinit) Tree tree = {};
        uint8_t sha256[DIGEST_SIZE];
        Error error = {};

        make_tree(f, &tree);
        assert_int_equal(mkfifoat(tree.fd, "fifo", 0600), 0);
        assert_int_equal(tree_describe(tree.fd, NULL, NULL, sha256, &error), -EBADMSG);
        assert_int_equal(error.fault, FAULT_HOST);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_same_digest, test_folder_setup, test_folder_teardown),
                cmocka_unit_test_setup_teardown(test_drift, test_folder_setup, test_folder_teardown),
                cmocka_unit_test_setup_teardown(test_shapes, test_folder_setup, test_folder_teardown),
                cmocka_unit_test_setup_teardown(test_leaves_no_mark, test_folder_setup, test_folder_teardown),
                cmocka_unit_test_setup_teardown(test_owner, test_folder_setup, test_folder_teardown),
                cmocka_unit_test_setup_teardown(test_bad_manifest, test_folder_setup, test_folder_teardown),
                cmocka_unit_test_setup_teardown(test_no_release, test_folder_setup, test_folder_teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
