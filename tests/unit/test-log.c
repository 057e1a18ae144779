#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "tests/unit/test.h"

#include "agent/base/file.h"
#include "agent/base/log.h"

#define TEXT_MAX 65536U

/* Standard error goes to a file while a test logs. */
static struct {
        int saved;
        int file;
} captured;

static int setup(void **state) {
        if (test_folder_setup(state) < 0)
                return -1;
        unsetenv("JOURNAL_STREAM");
        log_set_max_priority(LOG_INFO);
        captured.saved = dup(STDERR_FILENO);
        captured.file = openat(((TestFolder *) *state)->fd, "log", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        return dup2(captured.file, STDERR_FILENO) < 0 ? -1 : 0;
}

static int teardown(void **state) {
        dup2(captured.saved, STDERR_FILENO);
        close_fd(captured.saved);
        close_fd(captured.file);
        return test_folder_teardown(state);
}

static void assert_logged(void **state, const char *text) {
        test_assert_content(((TestFolder *) *state)->fd, "log", text);
}

static void test_text(void **state) {
        log_info("%s %d", "one", 1);
        log_warning("two");
        assert_logged(state, "one 1\ntwo\n");
}

static void test_priority(void **state) {
        log_debug("dropped");
        log_set_max_priority(LOG_DEBUG);
        log_debug("kept");
        log_set_max_priority(LOG_ERR);
        log_warning("dropped");
        log_error("bad");
        assert_logged(state, "kept\nbad\n");
}

static void test_app(void **state) {
        const LogFields fields = { .app = "api", .version = "1.2" }, none = {};

        log_message(LOG_INFO, NULL, &fields, "deployed");
        log_message(LOG_INFO, NULL, &none, "no app");
        assert_logged(state, "api: deployed\nno app\n");
}

/* What a hook or a server wrote into a reason does not reach a terminal as it is. */
static void test_printable(void **state) {
        log_info("a \033[2J b \xff c");
        assert_logged(state, "a ?[2J b ? c\n");
}

static void test_keeps_errno(void **state) {
        errno = EXDEV;
        log_info("x");
        assert_int_equal(errno, EXDEV);
        log_debug("x");
        assert_int_equal(errno, EXDEV);
        assert_logged(state, "x\n");
}

static void test_cut(void **state) {
        _cleanup_buffer_ Buffer buffer = {};

        log_info("%5000d", 1);
        assert_int_equal(file_read_at(((TestFolder *) *state)->fd, "log", TEXT_MAX, &buffer), 0);
        assert_in_range(buffer.size, 1000, 4999);
        assert_int_equal(buffer.data[buffer.size - 1], '\n');
}

/* JOURNAL_STREAM that names another file than standard error (a child with its output elsewhere) is no journal. */
static void test_stream_elsewhere(void **state) {
        setenv("JOURNAL_STREAM", "1:1", 1);
        log_info("to standard error");
        setenv("JOURNAL_STREAM", "nonsense", 1);
        log_info("too");
        assert_logged(state, "to standard error\ntoo\n");
}

static void test_stream_is_the_journal(void **state) {
        struct stat st;
        char stream[64];

        assert_int_equal(fstat(STDERR_FILENO, &st), 0);
        snprintf(stream, sizeof(stream), "%ju:%ju", (uintmax_t) st.st_dev, (uintmax_t) st.st_ino);
        setenv("JOURNAL_STREAM", stream, 1);
        log_info("to the journal");
        assert_logged(state, "");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_text),
                TEST(test_priority),
                TEST(test_app),
                TEST(test_printable),
                TEST(test_keeps_errno),
                TEST(test_cut),
                TEST(test_stream_elsewhere),
                TEST(test_stream_is_the_journal),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
