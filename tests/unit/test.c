#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/buffer.h"
#include "agent/base/file.h"
#include "tests/unit/test.h"

#define TEST_CONTENT_MAX 65536U

int test_folder_setup(void **state) {
        const char *base = getenv("TMPDIR");
        TestFolder *folder = calloc(1, sizeof(*folder));

        if (!folder)
                return -1;
        snprintf(folder->path, sizeof(folder->path), "%s/muster-test-XXXXXX", base ? base : "/tmp");
        if (!mkdtemp(folder->path)) {
                free(folder);
                return -1;
        }
        folder->fd = open(folder->path, O_DIRECTORY | O_RDONLY | O_CLOEXEC);
        *state = folder;
        return folder->fd < 0 ? -1 : 0;
}

int test_depot_folder_setup(TestFolder **ret) {
        int fd, r = test_folder_setup((void **) ret);

        if (r < 0)
                return r;
        fd = file_open_at((*ret)->fd, ".", O_RDONLY | O_DIRECTORY, 0);
        if (fd < 0)
                return -1;
        close_fd(fd);
        return 0;
}

int test_folder_teardown(void **state) {
        TestFolder *folder = *state;
        int r;

        close_fd(folder->fd);
        r = file_remove_tree_at(AT_FDCWD, folder->path);
        free(folder);
        return r;
}

void test_assert_content(int dirfd, const char *path, const char *text) {
        _cleanup_buffer_ Buffer buffer = {};

        assert_int_equal(file_read_at(dirfd, path, TEST_CONTENT_MAX, &buffer), 0);
        assert_string_equal(buffer_string(&buffer), text);
}

size_t test_count_entries(int dirfd) {
        _cleanup_closedir_ DIR *dir = NULL;
        size_t n = 0;

        dir = fdopendir(openat(dirfd, ".", O_DIRECTORY | O_RDONLY | O_CLOEXEC));
        assert_non_null(dir);
        for (struct dirent *entry; (entry = readdir(dir));)
                n += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
        return n;
}
