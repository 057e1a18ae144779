#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/strv.h"
#include "agent/net/credential_process.h"
#include "tests/unit/http-server.h"
#include "tests/unit/outcome.h"
#include "tests/unit/test.h"

static void test_split(_unused_ void **state) {
        static const struct {
                const char *command;
                const char *words[5];
        } cases[] = {
                { "/bin/keys", { "/bin/keys" } },
                { "  /bin/keys \t --a  b\n", { "/bin/keys", "--a", "b" } },
                { "keys 'a b' \"c d\" e\\ f", { "keys", "a b", "c d", "e f" } },
                { "keys '' \"\"", { "keys", "", "" } },
                { "keys 'a\\b' \"c\\\"d\\e\"", { "keys", "a\\b", "c\"d\\e" } },
                { "a'b'\"c\"d", { "abcd" } },
                { "keys $HOME; `x`", { "keys", "$HOME;", "`x`" } },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_strv_ char **words = NULL;
                size_t n = 0;

                assert_int_equal(credential_process_split(cases[i].command, &words), 0);
                for (; cases[i].words[n]; n++) {
                        assert_non_null(words[n]);
                        assert_string_equal(words[n], cases[i].words[n]);
                }
                assert_int_equal(strv_length(words), n);
        }
}

static void test_split_refused(_unused_ void **state) {
        static const char *const commands[] = { "", "  ", "a 'b", "a \"b" };

        for (size_t i = 0; i < ELEMENTSOF(commands); i++) {
                char **words = NULL;

                assert_int_equal(credential_process_split(commands[i], &words), -EINVAL);
        }
}

DEFINE_TEST_DONE(on_done, CredentialProcess)

static CredentialProcess *run(sd_event *event, const char *command, TestOutcome *outcome) {
        CredentialProcess *process = NULL;

        assert_int_equal(credential_process_start(event, command, on_done, outcome, &process, NULL), 0);
        test_wait(event, &outcome->done);
        return process;
}

#define GOOD                                                                                                 \
        "sh -c 'echo \"{\\\"Version\\\":1,\\\"AccessKeyId\\\":\\\"A\\\",\\\"SecretAccessKey\\\":\\\"s\\\","  \
        "\\\"Expiration\\\":\\\"2026-11-21T10:00:00+00:00\\\"}\"; echo warning >&2'"

static void test_good(void **state) {
        _cleanup_(credential_process_freep) CredentialProcess *process = NULL;
        _cleanup_credentials_ Credentials found = {};
        TestOutcome outcome = {};

        process = run(*state, GOOD, &outcome);
        assert_string_equal(outcome.error.message, "");
        assert_int_equal(outcome.result, 0);
        found = credential_process_take(process);
        assert_string_equal(found.access_key_id, "A");
        assert_null(found.session_token);
        assert_int_equal(found.expiration, UINT64_C(1795255200) * USEC_PER_SEC);
}

static void test_bad(void **state) {
        static const struct {
                const char *command;
                int result;
                const char *message;
        } cases[] = {
                { "sh -c 'echo one >&2; echo \"log in first\" >&2; exit 3'", -EIO,
                  "sh: exit status 3: log in first" },
                { "sh -c 'kill -9 $$'", -EIO, "sh: ended by signal 9" },
                { "echo hello", -EBADMSG, "echo: credentials that are no JSON object" },
                { "echo {\\\"Version\\\":2}", -EBADMSG, "echo: credentials whose Version is not 1" },
                { "echo {\\\"Version\\\":1}", -EBADMSG,
                  "echo: credentials without AccessKeyId or SecretAccessKey, or with a bad SessionToken" },
                { "head -c 100000 /dev/zero", -E2BIG, "head: printed more than 64 KiB" },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_(credential_process_freep) CredentialProcess *process = NULL;
                TestOutcome outcome = {};

                process = run(*state, cases[i].command, &outcome);
                assert_int_equal(outcome.result, cases[i].result);
                assert_string_equal(outcome.error.message, cases[i].message);
        }
}

/* Refused at once; where vfork() is a mere fork(), as under valgrind, by the end of the child. */
static void test_not_there(void **state) {
        _cleanup_(credential_process_freep) CredentialProcess *process = NULL;
        TestOutcome outcome = {};
        Error error = {};
        int r;

        r = credential_process_start(*state, "/nonexistent/keys", on_done, &outcome, &process, &error);
        if (r == 0) {
                test_wait(*state, &outcome.done);
                assert_int_equal(outcome.result, -EIO);
                assert_string_equal(outcome.error.message, "/nonexistent/keys: exit status 127");
                return;
        }
        assert_int_equal(r, -ENOENT);
        assert_non_null(strstr(error.message, "cannot run /nonexistent/keys"));
}

/* Freeing it ends it and calls nobody. */
static void test_cancel(void **state) {
        CredentialProcess *process = NULL;
        TestOutcome outcome = {};

        assert_int_equal(credential_process_start(*state, "sleep 1000", on_done, &outcome, &process, NULL),
                         0);
        credential_process_free(process);
        assert_false(outcome.done);
}

static bool is_there(pid_t pid) {
        char path[64], state = 'X';
        FILE *stat;

        snprintf(path, sizeof(path), "/proc/%d/stat", pid);
        stat = fopen(path, "re");
        if (!stat)
                return false;
        if (fscanf(stat, "%*d %*s %c", &state) != 1)
                state = 'X';
        fclose(stat);
        return state != 'Z' && state != 'X';
}

/* One that hangs is ended with what it has started. */
static void test_hangs(void **state) {
        int session = setsid(); /* without a terminal, as musterd */
        CredentialProcess *process = NULL;
        _cleanup_close_ int fd = -1;
        TestOutcome outcome = {};
        char path[] = "/tmp/test-credential_process.XXXXXX", command[256], text[32] = "";
        pid_t pid = 0;

        if (session < 0 && open("/dev/tty", O_RDONLY | O_CLOEXEC) >= 0)
                skip();
        fd = mkstemp(path);
        assert_true(fd >= 0);
        snprintf(command, sizeof(command), "sh -c 'sleep 1000 & echo $! >%s; wait'", path);
        assert_int_equal(credential_process_start(*state, command, on_done, &outcome, &process, NULL), 0);
        while (pid <= 0) {
                assert_true(sd_event_run(*state, 10000) >= 0);
                if (pread(fd, text, sizeof(text) - 1, 0) > 0 && strchr(text, '\n'))
                        pid = atoi(text);
        }
        unlink(path);
        assert_true(is_there(pid));
        credential_process_free(process);
        assert_false(outcome.done);
        while (is_there(pid))
                assert_true(sd_event_run(*state, 10000) >= 0);
}

static int set_up(void **state) {
        return sd_event_new((sd_event **) state) < 0;
}

static int tear_down(void **state) {
        sd_event_unref(*state);
        return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_split),
                cmocka_unit_test(test_split_refused),
                TEST(test_good),
                TEST(test_bad),
                TEST(test_not_there),
                TEST(test_cancel),
                TEST(test_hangs),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
