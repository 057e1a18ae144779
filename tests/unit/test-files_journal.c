#include <string.h>

#include "tests/unit/test.h"

#include "agent/base/buffer.h"
#include "agent/files_journal.h"

static const char whole[] = "muster-files-journal 1\n"
                            "deployment\td-1\n"
                            "release\t1.0-0123456789ab\n"
                            "mark\t.muster-0123456789abcdef\n"
                            "new\t/srv/a\n"
                            "replace\t/srv/b\n"
                            "remove\t/srv/c\n"
                            "change\t/srv/d\t0755\t0\t0\t0750\t33\t34\n"
                            "attribute\t0\t-\t0200\n"
                            "forget\t/srv/e\n"
                            "installed\n"
                            "muster-files 1\n"
                            "d\t0755\t0\t0\t/srv/a\n"
                            "f\t0644\t0\t33\tweb/x\t/srv/a/x\n"
                            "l\t../y\t/srv/b\n";

static int read_text(const char *text, FilesJournal *ret, Error *error) {
        _cleanup_free_ char *copy = strdup(text);

        return files_journal_read(copy, ret, error);
}

static void test_round(_unused_ void **state) {
        _cleanup_files_journal_ FilesJournal journal = {};
        _cleanup_buffer_ Buffer text = {};
        char name[FILES_NAME_SIZE];

        assert_int_equal(read_text(whole, &journal, NULL), 0);
        assert_string_equal(journal.deployment, "d-1");
        assert_string_equal(journal.release, "1.0-0123456789ab");
        assert_int_equal(journal.n, 5);
        assert_int_equal(journal.operations[3].after.gid, 34);
        assert_string_equal(journal.operations[3].attributes_after.values[0], "0200");
        assert_int_equal(journal.installed.n, 3);
        files_journal_old_name(&journal, 2, name);
        assert_string_equal(name, ".muster-0123456789abcdef-2.old");
        assert_int_equal(files_journal_write(&journal, &text), 0);
        assert_string_equal(buffer_string(&text), whole);
}

/* Of every text that is cut off, and of every text in which one line is another one, nothing is taken. */
static void test_damaged(_unused_ void **state) {
        static const struct {
                const char *from, *to;
        } changes[] = {
                { "journal 1", "journal 2" },
                { "d-1", "" },
                { "mark\t.muster-0123456789abcdef", "mark\t../x" },
                { "mark\t.muster-0123456789abcdef", "mark\t.muster-" },
                { "new\t/srv/a", "new\tsrv/a" },
                { "new\t/srv/a", "new\t/srv/../a" },
                { "new\t/srv/a", "new\t/" },
                { "new\t/srv/a", "make\t/srv/a" },
                { "new\t/srv/a", "new\t/srv/a\t1" },
                { "\t0755\t0\t0\t0750", "\t0799\t0\t0\t0750" },
                { "\t33\t34\n", "\t-1\t34\n" },
                { "\t33\t34\n", "\t4294967295\t34\n" },
                { "attribute\t0", "attribute\t3" },
                { "\t-\t0200", "\t-\t020" },
                { "\t-\t0200", "\t-\tzz" },
                { "remove\t/srv/c\n", "attribute\t0\t-\t-\n" },
                { "installed\n", "" },
                { "files 1\n", "files 2\n" },
                { "f\t0644", "x\t0644" },
                { "\t/srv/a/x", "\t/srv/0" },
                { "y\t/srv/b\n", "y\t/srv/a/x/y\n" },
                { "y\t/srv/b\n", "y\t/srv/a\n" },
                { "l\t../y", "l\t" },
        };

        for (size_t n = 0; n + 1 < sizeof(whole); n++) {
                _cleanup_files_journal_ FilesJournal journal = {};
                _cleanup_free_ char *cut = strndup(whole, n);
                bool list_has_begun = n >= (size_t) (strstr(whole, "files 1\n") + 8 - whole);

                assert_int_equal(read_text(cut, &journal, NULL), list_has_begun ? 0 : -EBADMSG);
        }
        for (size_t i = 0; i < ELEMENTSOF(changes); i++) {
                _cleanup_files_journal_ FilesJournal journal = {};
                const char *at = strstr(whole, changes[i].from);
                _cleanup_free_ char *text = NULL;
                Error error = {};

                assert_true(asprintf(&text, "%.*s%s%s", (int) (at - whole), whole, changes[i].to,
                                     at + strlen(changes[i].from)) > 0);
                if (read_text(text, &journal, &error) != -EBADMSG)
                        fail_msg("%s -> %s", changes[i].from, changes[i].to);
                assert_int_equal(error.fault, FAULT_HOST);
        }
}

static int add(FilesList *list, EntryType type, const char *path) {
        return files_list_add(list, &(FilesEntry){ .type = type, .path = (char *) path }, NULL);
}

static void test_list(_unused_ void **state) {
        _cleanup_files_list_ FilesList list = {};
        const char *twice = NULL;

        assert_int_equal(add(&list, ENTRY_FILE, "/a b"), 0);
        assert_int_equal(add(&list, ENTRY_FOLDER, "/a"), 0);
        assert_int_equal(add(&list, ENTRY_FILE, "/a/x"), 0);
        assert_int_equal(add(&list, ENTRY_FOLDER, "/a"), 0);
        assert_int_equal(files_list_sort(&list, &twice), 0);
        assert_int_equal(list.n, 3);
        assert_string_equal(list.items[1].path, "/a/x");
        assert_non_null(files_list_find(&list, "/a b"));
        assert_null(files_list_find(&list, "/a/"));
        assert_int_equal(files_list_first_within(&list, "/a/x"), 1);
        assert_int_equal(files_list_first_within(&list, "/b"), 3);
        assert_int_equal(add(&list, ENTRY_FILE, "/a/x"), 0);
        assert_int_equal(files_list_sort(&list, &twice), -EEXIST);
        assert_string_equal(twice, "/a/x");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_round),
                cmocka_unit_test(test_damaged),
                cmocka_unit_test(test_list),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
