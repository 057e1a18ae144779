#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "tests/unit/test.h"

#include "agent/base/file.h"
#include "artifacts/archive_inspect.h"
#include "artifacts/pack.h"

static void write_file(int dirfd, const char *path, const char *content, mode_t mode) {
        _cleanup_close_ int fd = openat(dirfd, path, O_WRONLY | O_CREAT | O_EXCL, 0600);

        assert_true(fd >= 0);
        assert_int_equal(file_write_fd(fd, content, strlen(content)), 0);
        assert_int_equal(fchmod(fd, mode), 0);
}

static int make_folder(int dirfd, const char *name) {
        int fd = -1;

        assert_int_equal(mkdirat(dirfd, name, 0700), 0);
        fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        assert_true(fd >= 0);
        return fd;
}

/* The same tree, made in another order, with other modes and times: 6 entries, 14 bytes. */
static int make_tree(int dirfd, const char *name, bool other) {
        int fd = make_folder(dirfd, name);

        if (other)
                write_file(fd, "z", "zz", 0600);
        assert_int_equal(mkdirat(fd, "bin", other ? 0700 : 0775), 0);
        write_file(fd, "bin/app", "program", other ? 0700 : 0755);
        write_file(fd, "a-\xc3\xa4", "umlau", other ? 0640 : 0664);
        assert_int_equal(symlinkat("bin/app", fd, "link"), 0);
        assert_int_equal(mkdirat(fd, "empty", 0755), 0);
        if (!other)
                write_file(fd, "z", "zz", 0644);
        return fd;
}

static void pack(int dirfd, const char *name, int folder, const PackOptions *options, PackResult *ret) {
        _cleanup_close_ int fd = openat(dirfd, name, O_WRONLY | O_CREAT | O_EXCL, 0600);
        Error error = {};

        assert_true(fd >= 0);
        if (pack_folder(folder, fd, options, ret, &error) < 0)
                fail_msg("%s", error.message);
        assert_int_equal(lseek(fd, 0, SEEK_END), ret->size);
}

static void assert_same(int dirfd, const char *a, const char *b, bool same) {
        _cleanup_buffer_ Buffer x = {}, y = {};

        assert_int_equal(file_read_at(dirfd, a, 1 << 20, &x), 0);
        assert_int_equal(file_read_at(dirfd, b, 1 << 20, &y), 0);
        assert_int_equal(x.size == y.size && memcmp(x.data, y.data, x.size) == 0, same);
}

static void test_reproducible(void **state) {
        TestFolder *f = *state;
        _cleanup_close_ int one = make_tree(f->fd, "one", false), two = make_tree(f->fd, "two", true);
        const PackOptions later = { .mtime = 1700000000 };
        PackResult result = {}, measured = {};

        pack(f->fd, "one.tar.zst", one, NULL, &result);
        assert_int_equal(result.entries, 6);
        assert_int_equal(result.unpacked_size, 14);
        pack(f->fd, "two.tar.zst", two, NULL, &result);
        assert_same(f->fd, "one.tar.zst", "two.tar.zst", true);
        pack(f->fd, "later.tar.zst", one, &later, &result);
        assert_same(f->fd, "one.tar.zst", "later.tar.zst", false);
        assert_int_equal(pack_measure(one, NULL, &measured, NULL), 0);
        assert_int_equal(measured.entries, 6);
        assert_int_equal(measured.unpacked_size, 14);
}

static void test_inspect(void **state) {
        TestFolder *f = *state;
        _cleanup_close_ int folder = make_tree(f->fd, "tree", false), fd = -1;
        const char *const names[] = { "gone", "bin/app", "bin", NULL };
        ArchiveMember member = { .names = names, .limit = 100 };
        ArchiveFacts facts = {};
        PackResult result;
        Error error = {};

        pack(f->fd, "packed", folder, NULL, &result);
        fd = openat(f->fd, "packed", O_RDONLY);
        if (archive_inspect(fd, &member, &facts, &error) < 0)
                fail_msg("%s", error.message);
        assert_string_equal(member.found, "bin/app");
        assert_string_equal(buffer_string(&member.content), "program");
        archive_member_deinit(&member);
        assert_int_equal(facts.format, ARCHIVE_TAR_ZST);
        assert_int_equal(facts.size, result.size);
        assert_int_equal(facts.entries, result.entries);
        assert_int_equal(facts.unpacked_size, result.unpacked_size);
        assert_false(facts.wrapped);
        assert_int_equal(archive_inspect(fd, NULL, &facts, NULL), 0);
        member = (ArchiveMember){ .names = (const char *const[]){ "bin", "app", NULL }, .limit = 100 };
        assert_int_equal(archive_inspect(fd, &member, &facts, &error), 0);
        assert_null(member.found);
        assert_string_equal(member.elsewhere, "bin/app");
        archive_member_deinit(&member);
        member = (ArchiveMember){ .names = names, .limit = 6 };
        assert_int_equal(archive_inspect(fd, &member, &facts, &error), -E2BIG);
        archive_member_deinit(&member);
        assert_string_equal(error.message, "archive entry \"bin/app\": it has more than 6 bytes");
}

static void test_find(void **state) {
        ArchiveFile files[] = {
                { .path = "bin/app" }, { .path = "bin" },     { .path = "bin/other", .found = true },
                { .path = "link" },    { .path = "bin/app" },
        };
        TestFolder *f = *state;
        _cleanup_close_ int folder = make_tree(f->fd, "tree", false), fd = -1;
        ArchiveFacts facts = {};
        PackResult result;

        pack(f->fd, "packed", folder, NULL, &result);
        fd = openat(f->fd, "packed", O_RDONLY);
        assert_int_equal(archive_find(fd, &facts, files, ELEMENTSOF(files), NULL), 0);
        assert_true(files[0].found);
        assert_false(files[0].is_link);
        assert_int_equal(files[0].mode & 0111, 0111);
        assert_int_equal(files[0].head_size, 7);
        assert_memory_equal(files[0].head, "program", 7);
        assert_false(files[1].found);
        assert_false(files[2].found);
        assert_true(files[3].found);
        assert_true(files[3].is_link);
        assert_memory_equal(files[4].head, "program", 7);
}

static void test_inspect_other(void **state) {
        TestFolder *f = *state;
        _cleanup_close_ int fd = -1;
        ArchiveFacts facts;
        Error error = {};

        write_file(f->fd, "text", "hello", 0600);
        fd = openat(f->fd, "text", O_RDONLY);
        assert_int_equal(archive_inspect(fd, NULL, &facts, &error), -EBADMSG);
        assert_non_null(strstr(error.message, "expected tar"));
}

static void test_empty(void **state) {
        TestFolder *f = *state;
        _cleanup_close_ int folder = make_folder(f->fd, "empty"), fd = -1;
        ArchiveFacts facts = {};
        PackResult result = {};

        pack(f->fd, "packed", folder, NULL, &result);
        assert_int_equal(result.entries, 0);
        fd = openat(f->fd, "packed", O_RDONLY);
        assert_int_equal(archive_inspect(fd, NULL, &facts, NULL), 0);
        assert_int_equal(facts.entries, 0);
}

/* A name that fits in no ustar header, and a deep one. */
static void test_long_names(void **state) {
        TestFolder *f = *state;
        _cleanup_close_ int folder = make_folder(f->fd, "tree"), fd = -1;
        ArchiveMember member = { .limit = 10 };
        char name[300] = "", path[600];
        ArchiveFacts facts = {};
        PackResult result;

        for (size_t i = 0; i < 120; i++)
                strcat(name, "\xc3\xa9");
        assert_int_equal(mkdirat(folder, name, 0755), 0);
        snprintf(path, sizeof(path), "%s/%s", name, name);
        write_file(folder, path, "deep", 0644);
        pack(f->fd, "packed", folder, NULL, &result);
        fd = openat(f->fd, "packed", O_RDONLY);
        member.names = (const char *const[]){ path, NULL };
        assert_int_equal(archive_inspect(fd, &member, &facts, NULL), 0);
        assert_string_equal(buffer_string(&member.content), "deep");
        archive_member_deinit(&member);
        assert_int_equal(facts.entries, 2);
}

static void make_fifo(int fd) {
        assert_int_equal(mkfifoat(fd, "sub/bad", 0600), 0);
}

static void make_socket(int fd) {
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        _cleanup_close_ int s = socket(AF_UNIX, SOCK_STREAM, 0);

        snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d/sub/bad", fd);
        assert_int_equal(bind(s, (struct sockaddr *) &address, sizeof(address)), 0);
}

static void make_link_out(int fd) {
        assert_int_equal(symlinkat("../../etc", fd, "sub/bad"), 0);
}

static void make_absolute_link(int fd) {
        assert_int_equal(symlinkat("/etc/passwd", fd, "sub/bad"), 0);
}

static void make_setuid(int fd) {
        write_file(fd, "sub/bad", "", 04755);
}

static void test_refused(void **state) {
        static void (*const makers[])(int fd) = {
                make_fifo, make_socket, make_link_out, make_absolute_link, make_setuid,
        };
        TestFolder *f = *state;
        _cleanup_close_ int out = open("/dev/null", O_WRONLY);

        for (size_t i = 0; i < ELEMENTSOF(makers); i++) {
                _cleanup_close_ int folder = make_folder(f->fd, "tree");
                PackResult result;
                Error error = {};

                assert_int_equal(mkdirat(folder, "sub", 0755), 0);
                makers[i](folder);
                assert_int_equal(pack_folder(folder, out, NULL, &result, &error), -EINVAL);
                assert_int_equal(error.fault, FAULT_INPUT);
                assert_int_equal(strncmp(error.message, "sub/bad: ", 9), 0);
                assert_int_equal(pack_measure(folder, NULL, &result, NULL), -EINVAL);
                assert_int_equal(file_remove_tree_at(f->fd, "tree"), 0);
        }
}

/* A folder that something runs from is taken as it is, without what only that something has a use for. */
static void test_in_use(void **state) {
        TestFolder *f = *state;
        _cleanup_close_ int folder = make_folder(f->fd, "tree"), same = make_folder(f->fd, "same");
        const PackOptions options = { .in_use = true };
        PackResult result = {}, measured = {};

        assert_int_equal(mkdirat(folder, "sub", 0755), 0);
        assert_int_equal(mkdirat(same, "sub", 0755), 0);
        write_file(folder, "secret", "hush", 0600);
        write_file(same, "secret", "hush", 0644);
        pack(f->fd, "modes.tar.zst", folder, &options, &result);
        pack(f->fd, "same.tar.zst", same, NULL, &result);
        assert_same(f->fd, "modes.tar.zst", "same.tar.zst", false);

        make_fifo(folder);
        pack(f->fd, "fifo.tar.zst", folder, &options, &result);
        assert_int_equal(result.entries, 2);
        assert_same(f->fd, "modes.tar.zst", "fifo.tar.zst", true);
        assert_int_equal(unlinkat(folder, "sub/bad", 0), 0);
        make_socket(folder);
        pack(f->fd, "socket.tar.zst", folder, &options, &result);
        assert_same(f->fd, "modes.tar.zst", "socket.tar.zst", true);
        assert_int_equal(pack_measure(folder, &options, &measured, NULL), 0);
        assert_int_equal(measured.entries, 2);
        assert_int_equal(unlinkat(folder, "sub/bad", 0), 0);
        make_setuid(folder);
        assert_int_equal(pack_measure(folder, &options, &measured, NULL), -EINVAL);
}

static void test_bad_name(void **state) {
        TestFolder *f = *state;
        _cleanup_close_ int folder = make_folder(f->fd, "tree");
        PackResult result;

        write_file(folder, "a\nb", "", 0644);
        assert_int_equal(pack_measure(folder, NULL, &result, NULL), -EINVAL);
}

static void test_full_disk(void **state) {
        TestFolder *f = *state;
        _cleanup_close_ int folder = make_tree(f->fd, "tree", false), out = open("/dev/full", O_WRONLY);
        PackResult result;
        Error error = {};

        assert_int_equal(pack_folder(folder, out, NULL, &result, &error), -ENOSPC);
        assert_int_equal(error.fault, FAULT_HOST);
        assert_string_equal(error.message, "cannot write the archive: No space left on device");
}

static void count_call(uint64_t entries, uint64_t bytes, void *userdata) {
        uint64_t *last = userdata;

        assert_true(entries >= last[0] && bytes >= last[1]);
        last[0] = entries;
        last[1] = bytes;
}

static void test_progress(void **state) {
        TestFolder *f = *state;
        _cleanup_close_ int folder = make_tree(f->fd, "tree", false);
        uint64_t last[2] = {};
        const PackOptions options = { .progress = count_call, .userdata = last };
        PackResult result;

        pack(f->fd, "packed", folder, &options, &result);
        assert_int_equal(last[0], 6);
        assert_int_equal(last[1], 14);
}

#define FOLDER_TEST(test) cmocka_unit_test_setup_teardown(test, test_folder_setup, test_folder_teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                FOLDER_TEST(test_reproducible), FOLDER_TEST(test_inspect),    FOLDER_TEST(test_inspect_other),
                FOLDER_TEST(test_empty),        FOLDER_TEST(test_long_names), FOLDER_TEST(test_refused),
                FOLDER_TEST(test_find),         FOLDER_TEST(test_in_use),     FOLDER_TEST(test_bad_name),
                FOLDER_TEST(test_full_disk),    FOLDER_TEST(test_progress),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
