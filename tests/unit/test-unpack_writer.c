#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/test.h"

#include "agent/base/file.h"
#include "artifacts/unpack_writer.h"

typedef struct Fixture {
        TestFolder *folder;
        int root;
        UnpackWriter *writer;
        UnpackSink sink;
} Fixture;

static int setup(void **state) {
        Fixture *f = calloc(1, sizeof(*f));
        void *folder = NULL;

        (void) umask(0);
        assert_int_equal(test_folder_setup(&folder), 0);
        f->folder = folder;
        assert_int_equal(mkdirat(f->folder->fd, "outside", 0755), 0);
        assert_int_equal(mkdirat(f->folder->fd, "root", 0755), 0);
        f->root = openat(f->folder->fd, "root", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        assert_int_equal(unpack_writer_new(f->root, &f->writer, NULL), 0);
        f->sink = unpack_writer_sink(f->writer);
        *state = f;
        return 0;
}

static int teardown(void **state) {
        Fixture *f = *state;
        void *folder = f->folder;
        int r;

        unpack_writer_free(f->writer);
        close_fd(f->root);
        assert_int_equal(test_count_entries(f->folder->fd), 2);
        r = test_folder_teardown(&folder);
        free(f);
        return r;
}

static int give(Fixture *f, const UnpackEntry *entry) {
        Error error = {};
        int r = f->sink.entry(entry, f->sink.userdata, &error);

        if (r < 0) {
                assert_int_equal(error.fault, FAULT_HOST);
                assert_true(error.message[0]);
        }
        return r;
}

static int folder(Fixture *f, const char *path, int64_t mtime) {
        return give(f, &(UnpackEntry){ .type = ENTRY_FOLDER, .path = path, .mode = 0755, .mtime = mtime });
}

static int file(Fixture *f, const char *path, const char *content) {
        int r = give(f, &(UnpackEntry){ .type = ENTRY_FILE,
                                        .path = path,
                                        .mode = 0640,
                                        .mtime = 1000,
                                        .mtime_nsec = 5000,
                                        .size = strlen(content) });

        return r < 0 || !*content ? r : f->sink.data(content, strlen(content), f->sink.userdata, NULL);
}

static int finish(Fixture *f) {
        return unpack_writer_finish(f->writer, true, NULL);
}

static struct stat stat_of(const Fixture *f, const char *path) {
        struct stat st;

        assert_int_equal(fstatat(f->root, path, &st, AT_SYMLINK_NOFOLLOW), 0);
        return st;
}

static void test_tree(void **state) {
        Fixture *f = *state;
        _cleanup_free_ char *target = NULL;

        assert_int_equal(folder(f, "a", 2000), 0);
        assert_int_equal(file(f, "a/file", "content"), 0);
        assert_int_equal(folder(f, "a/b", 3000), 0);
        assert_int_equal(file(f, "a/b/empty", ""), 0);
        assert_int_equal(
                give(f,
                     &(UnpackEntry){ .type = ENTRY_LINK, .path = "link", .target = "a/file", .mtime = 4000 }),
                0);
        assert_int_equal(
                give(f, &(UnpackEntry){ .type = ENTRY_HARD_LINK, .path = "a/same", .target = "a/file" }), 0);
        assert_int_equal(
                give(f, &(UnpackEntry){ .type = ENTRY_HARD_LINK, .path = "top", .target = "a/same" }), 0);
        assert_int_equal(finish(f), 0);
        test_assert_content(f->root, "a/file", "content");
        assert_int_equal(stat_of(f, "a/file").st_mode & 07777, 0640);
        assert_int_equal(stat_of(f, "a/file").st_mtim.tv_sec, 1000);
        assert_int_equal(stat_of(f, "a/file").st_mtim.tv_nsec, 5000);
        assert_int_equal(stat_of(f, "a/file").st_nlink, 3);
        assert_int_equal(stat_of(f, "a/b/empty").st_size, 0);
        assert_int_equal(stat_of(f, "a").st_mtim.tv_sec, 2000);
        assert_int_equal(stat_of(f, "a/b").st_mtim.tv_sec, 3000);
        assert_int_equal(stat_of(f, "link").st_mtim.tv_sec, 4000);
        assert_int_equal(file_read_link_at(f->root, "link", &target), 0);
        assert_string_equal(target, "a/file");
        assert_int_equal(unpack_writer_counts(f->writer).entries, 7);
        assert_int_equal(unpack_writer_counts(f->writer).bytes, 7);
        assert_string_equal(unpack_writer_path(f->writer), "top");
}

/* A folder that is come back to keeps the time that it was given. */
static void test_revisited(void **state) {
        Fixture *f = *state;

        assert_int_equal(folder(f, "a", 2000), 0);
        assert_int_equal(folder(f, "ab", 2500), 0);
        assert_int_equal(file(f, "ab/x", "1"), 0);
        assert_int_equal(file(f, "a/x", "1"), 0);
        assert_int_equal(file(f, "y", "1"), 0);
        assert_int_equal(file(f, "a/z", "1"), 0);
        assert_int_equal(finish(f), 0);
        assert_int_equal(stat_of(f, "a").st_mtim.tv_sec, 2000);
        assert_int_equal(stat_of(f, "ab").st_mtim.tv_sec, 2500);
}

static void test_implied(void **state) {
        Fixture *f = *state;

        assert_int_equal(
                give(f, &(UnpackEntry){ .type = ENTRY_FOLDER, .implied = true, .path = "a", .mode = 0755 }),
                0);
        assert_int_equal(file(f, "a/x", "1"), 0);
        assert_int_equal(
                give(f,
                     &(UnpackEntry){
                             .type = ENTRY_FOLDER, .exists = true, .path = "a", .mode = 0700, .mtime = 77 }),
                0);
        assert_int_equal(finish(f), 0);
        assert_int_equal(stat_of(f, "a").st_mode & 07777, 0700);
        assert_int_equal(stat_of(f, "a").st_mtim.tv_sec, 77);
        assert_int_equal(unpack_writer_counts(f->writer).entries, 2);
}

/* Whatever the reader may have missed. */
static void test_nothing_is_followed(void **state) {
        Fixture *f = *state;

        assert_int_equal(symlinkat("../outside", f->root, "out"), 0);
        assert_true(file(f, "out/x", "1") < 0);
        assert_true(folder(f, "out/d", 0) < 0);
        assert_int_equal(file(f, "out", "1"), -EEXIST);
        assert_int_equal(folder(f, "out", 0), -EEXIST);
        assert_true(give(f, &(UnpackEntry){
                                    .type = ENTRY_FOLDER, .exists = true, .path = "out", .mode = 0755 }) < 0);
        assert_true(give(f, &(UnpackEntry){ .type = ENTRY_HARD_LINK, .path = "h", .target = "out/x" }) < 0);
        assert_true(give(f, &(UnpackEntry){ .type = ENTRY_HARD_LINK, .path = "h", .target = "../outside" }) <
                    0);
}

static void test_nothing_is_replaced(void **state) {
        Fixture *f = *state;

        assert_int_equal(file(f, "x", "first"), 0);
        assert_int_equal(file(f, "x", "second"), -EEXIST);
        assert_int_equal(folder(f, "x", 0), -EEXIST);
        assert_int_equal(give(f, &(UnpackEntry){ .type = ENTRY_LINK, .path = "x", .target = "y" }), -EEXIST);
        assert_true(file(f, "x/y", "1") < 0);
        test_assert_content(f->root, "x", "first");
}

static void test_more_data_than_said(void **state) {
        Fixture *f = *state;

        assert_int_equal(file(f, "x", "1234"), 0);
        assert_int_equal(f->sink.data("5", 1, f->sink.userdata, NULL), -EPROTO);
        assert_int_equal(folder(f, "d", 0), 0);
        assert_int_equal(f->sink.data("5", 1, f->sink.userdata, NULL), -EPROTO);
}

static void test_deep(void **state) {
        Fixture *f = *state;
        char path[4 * UNPACK_DEPTH_MAX] = "d";

        for (unsigned i = 0; i < UNPACK_DEPTH_MAX; i++) {
                assert_int_equal(folder(f, path, 1), 0);
                strcat(path, "/d");
        }
        assert_int_equal(folder(f, path, 1), -ELOOP);
        assert_int_equal(finish(f), 0);
}

static void test_large(void **state) {
        Fixture *f = *state;
        const size_t size = 20 << 20, piece = 1 << 20;
        uint8_t *data = calloc(1, piece);

        assert_int_equal(
                give(f, &(UnpackEntry){ .type = ENTRY_FILE, .path = "large", .mode = 0644, .size = size }),
                0);
        for (size_t at = 0; at < size; at += piece)
                assert_int_equal(f->sink.data(data, piece, f->sink.userdata, NULL), 0);
        assert_int_equal(finish(f), 0);
        assert_int_equal(stat_of(f, "large").st_size, size);
        free(data);
}

#define WRITER_TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                WRITER_TEST(test_tree),
                WRITER_TEST(test_revisited),
                WRITER_TEST(test_implied),
                WRITER_TEST(test_nothing_is_followed),
                WRITER_TEST(test_nothing_is_replaced),
                WRITER_TEST(test_more_data_than_said),
                WRITER_TEST(test_deep),
                WRITER_TEST(test_large),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
