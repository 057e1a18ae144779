#include <string.h>

#include "agent/base/file.h"
#include "agent/queue_note.h"
#include "tests/unit/test.h"

static void test_round_trip(void **state) {
        const TestFolder *folder = *state;
        QueueNote note = { (char *) "i-1", (char *) "muster-prod-i-1", (char *) "https://q", (char *) "arn:t",
                           (char *) "arn:t:s" };
        _cleanup_(queue_note_deinit) QueueNote read = {}, others = {}, none = {};

        assert_int_equal(queue_note_save(folder->fd, &note, NULL), 0);
        assert_int_equal(queue_note_load(folder->fd, "i-1", &read, NULL), 0);
        assert_string_equal(read.name, note.name);
        assert_string_equal(read.url, note.url);
        assert_string_equal(read.topic, note.topic);
        assert_string_equal(read.subscription, note.subscription);
        /* in an image that was made from it */
        assert_int_equal(queue_note_load(folder->fd, "i-2", &others, NULL), 0);
        assert_string_equal(others.instance, "i-2");
        assert_null(others.name);
        note.name = NULL;
        assert_int_equal(queue_note_save(folder->fd, &note, NULL), 0);
        assert_int_equal(test_count_entries(folder->fd), 0);
        assert_int_equal(queue_note_load(folder->fd, "i-1", &none, NULL), 0);
        assert_null(none.name);
}

static void test_before_it_exists(void **state) {
        const TestFolder *folder = *state;
        const QueueNote note = { .instance = (char *) "i-1",
                                 .name = (char *) "q",
                                 .topic = (char *) "arn:t" };
        _cleanup_(queue_note_deinit) QueueNote read = {};

        assert_int_equal(queue_note_save(folder->fd, &note, NULL), 0);
        assert_int_equal(queue_note_load(folder->fd, "i-1", &read, NULL), 0);
        assert_string_equal(read.name, "q");
        assert_null(read.url);
        assert_null(read.subscription);
}

static void test_damaged(void **state) {
        static const char *const texts[] = { "", "{", "[]", "{\"instance\":\"i-1\"}",
                                             "{\"instance\":\"i-1\",\"name\":1,\"topic\":\"t\"}" };
        const TestFolder *folder = *state;

        for (size_t i = 0; i < ELEMENTSOF(texts); i++) {
                _cleanup_(queue_note_deinit) QueueNote note = {};

                assert_int_equal(file_replace_at(folder->fd, "queue.json", texts[i], strlen(texts[i]), 0644),
                                 0);
                assert_int_equal(queue_note_load(folder->fd, "i-1", &note, NULL), 0);
                assert_string_equal(note.instance, "i-1");
                assert_null(note.name);
        }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, test_folder_setup, test_folder_teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_round_trip),
                TEST(test_before_it_exists),
                TEST(test_damaged),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
