#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "tests/unit/test.h"

#include "agent/base/file.h"
#include "agent/cli/key_source.h"
#include "agent/cli/new_file.h"

#define VARIABLE "TEST_SOME_KEY"

static int enter(void **state) {
        if (test_folder_setup(state) < 0)
                return -1;
        return fchdir(((TestFolder *) *state)->fd);
}

static int leave(void **state) {
        (void) unsetenv(VARIABLE);
        return chdir("/") < 0 ? -1 : test_folder_teardown(state);
}

/* Makes NAME.key and NAME.pub; RET is the PEM text of the private one. */
static void make_key(const char *name, char **ret) {
        _cleanup_key_ Key *key = NULL;
        _cleanup_key_text_ char *public = NULL;
        char path[64];

        assert_int_equal(key_generate(&key, NULL), 0);
        assert_int_equal(key_private_to_pem(key, ret, NULL), 0);
        assert_int_equal(key_public_to_pem(key, &public, NULL), 0);
        snprintf(path, sizeof(path), "%s.key", name);
        assert_int_equal(new_file_write(path, *ret, strlen(*ret), 0600, NULL), 0);
        snprintf(path, sizeof(path), "%s.pub", name);
        assert_int_equal(new_file_write(path, public, strlen(public), 0644, NULL), 0);
}

static void refuse(const char *path, int r, const char *message) {
        Key *key = NULL;
        Error error = {};

        assert_int_equal(key_source_private(path, VARIABLE, "key", &key, &error), r);
        assert_null(key);
        if (!strstr(error.message, message))
                fail_msg("%s", error.message);
}

static void test_private(_unused_ void **state) {
        _cleanup_key_text_ char *pem = NULL;
        _cleanup_key_ Key *file = NULL, *variable = NULL;
        Error error = {};

        make_key("a", &pem);
        assert_int_equal(key_source_private("a.key", VARIABLE, "key", &file, &error), 0);
        assert_true(key_is_private(file));
        refuse(NULL, -ENOKEY, "give --key FILE, or set TEST_SOME_KEY_FILE to a path or TEST_SOME_KEY");
        assert_int_equal(setenv(VARIABLE, pem, 1), 0);
        assert_int_equal(key_source_private(NULL, VARIABLE, "key", &variable, &error), 0);
        assert_string_equal(key_id(variable), key_id(file));
        assert_null(getenv(VARIABLE));
}

static void test_refused(void **state) {
        TestFolder *f = *state;
        _cleanup_key_text_ char *pem = NULL;

        make_key("a", &pem);
        refuse("a.pub", -EBADMSG, "a.pub is a public key; expected the private one");
        refuse("gone", -ENOENT, "gone");
        refuse(pem, -EINVAL, "a key stands where the path of a key file is expected");
        assert_int_equal(fchmodat(f->fd, "a.key", 0644, 0), 0);
        refuse("a.key", -EPERM, "a.key");
        assert_int_equal(file_replace_at(f->fd, "text", "hello", 5, 0644), 0);
        refuse("text", -EBADMSG, "text: expected one Ed25519 key in PEM");
}

static void test_list(_unused_ void **state) {
        _cleanup_key_text_ char *a = NULL, *b = NULL;
        _cleanup_key_list_ KeyList list = {};
        _cleanup_key_ Key *public = NULL;
        Error error = {};

        make_key("a", &a);
        make_key("b", &b);
        assert_int_equal(key_list_load(&list, (char *[]){ "a.key", "b.pub", NULL }, &error), 0);
        assert_int_equal(list.n, 2);
        assert_true(key_is_private(list.keys[0]));
        assert_false(key_is_private(list.keys[1]));
        assert_int_equal(key_source_public("a.key", &public, &error), 0);
        assert_false(key_is_private(public));
        assert_string_equal(key_id(public), key_id(list.keys[0]));
        assert_int_equal(key_list_load(&list, NULL, &error), 0);
        for (size_t i = 2; i < KEY_LIST_MAX; i++)
                assert_int_equal(key_list_load(&list, (char *[]){ "b.pub", NULL }, &error), 0);
        assert_int_equal(key_list_load(&list, (char *[]){ "b.pub", NULL }, &error), -E2BIG);
}

static void test_new_file(void **state) {
        TestFolder *f = *state;
        Error error = {};
        struct stat st;
        mode_t mask = umask(0077);

        assert_int_equal(new_file_check("x", &error), 0);
        assert_int_equal(new_file_write("x", "one", 3, 0644, &error), 0);
        umask(mask);
        assert_int_equal(fstatat(f->fd, "x", &st, 0), 0);
        assert_int_equal(st.st_mode & 0777, 0644);
        assert_int_equal(new_file_check("x", &error), -EEXIST);
        assert_string_equal(error.message, "x exists already and is not overwritten");
        assert_int_equal(new_file_write("x", "two", 3, 0644, &error), -EEXIST);
        test_assert_content(f->fd, "x", "one");
        assert_int_equal(symlinkat("elsewhere", f->fd, "link"), 0);
        assert_int_equal(new_file_write("link", "two", 3, 0644, &error), -EEXIST);
        assert_int_equal(new_file_check("link", &error), -EEXIST);
        assert_int_equal(new_file_write("no/where", "two", 3, 0644, &error), -ENOENT);
        assert_int_equal(test_count_entries(f->fd), 2);
}

#define FOLDER_TEST(f) cmocka_unit_test_setup_teardown(f, enter, leave)

int main(void) {
        const struct CMUnitTest tests[] = {
                FOLDER_TEST(test_private),
                FOLDER_TEST(test_refused),
                FOLDER_TEST(test_list),
                FOLDER_TEST(test_new_file),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
