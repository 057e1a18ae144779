#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/file.h"
#include "agent/config_watch.h"
#include "tests/unit/test.h"

static bool no_more;

int __real_inotify_init1(int flags);
int __wrap_inotify_init1(int flags);
int __wrap_inotify_init1(int flags) {
        if (!no_more)
                return __real_inotify_init1(flags);
        errno = EMFILE;
        return -1;
}

static void count(void *userdata) {
        (*(unsigned *) userdata)++;
}

typedef struct Fixture {
        TestFolder *folder;
        sd_event *event;
        char path[TEST_PATH_MAX + 16];
        ConfigWatch *watch;
        unsigned changes;
} Fixture;

static int setup(void **state) {
        Fixture *f = calloc(1, sizeof(*f));

        assert_non_null(f);
        assert_int_equal(test_folder_setup((void **) &f->folder), 0);
        assert_true(sd_event_new(&f->event) >= 0);
        snprintf(f->path, sizeof(f->path), "%s/muster.conf", f->folder->path);
        assert_return_code(mkdirat(f->folder->fd, "muster.conf.d", 0700), errno);
        *state = f;
        return 0;
}

static int teardown(void **state) {
        Fixture *f = *state;

        config_watch_free(f->watch);
        sd_event_unref(f->event);
        assert_int_equal(test_folder_teardown((void **) &f->folder), 0);
        free(f);
        no_more = false;
        return 0;
}

static void open_watch(Fixture *f) {
        assert_int_equal(config_watch_new(f->event, f->path, count, &f->changes, &f->watch, NULL), 0);
}

/* Whether writing a file in the folder is told of. */
static bool hears_of(Fixture *f, const char *name) {
        f->changes = 0;
        assert_int_equal(file_replace_at(f->folder->fd, name, "[agent]\n", 8, 0600), 0);
        while (sd_event_run(f->event, 0) > 0)
                ;
        return f->changes > 0;
}

static void test_file_and_drop_in(void **state) {
        Fixture *f = *state;

        open_watch(f);
        assert_true(hears_of(f, "muster.conf"));
        assert_true(hears_of(f, "muster.conf"));
        assert_true(hears_of(f, "muster.conf.d/group.conf"));
}

/* musterd --config muster.conf */
static void test_without_a_slash(void **state) {
        _cleanup_close_ int before = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        Fixture *f = *state;
        bool heard;

        assert_return_code(before, errno);
        assert_return_code(fchdir(f->folder->fd), errno);
        snprintf(f->path, sizeof(f->path), "muster.conf");
        open_watch(f);
        heard = hears_of(f, "muster.conf") && hears_of(f, "muster.conf.d/group.conf");
        assert_return_code(fchdir(before), errno);
        assert_true(heard);
}

/* A machine that has used up its watches is no reason not to run. */
static void test_none_left(void **state) {
        Fixture *f = *state;

        no_more = true;
        open_watch(f);
        assert_non_null(f->watch);
        assert_false(hears_of(f, "muster.conf"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
        const struct CMUnitTest tests[] = { TEST(test_file_and_drop_in), TEST(test_without_a_slash),
                                            TEST(test_none_left) };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
