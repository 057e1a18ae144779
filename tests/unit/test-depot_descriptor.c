#include <string.h>
#include <sys/mman.h>

#include "agent/base/file.h"
#include "artifacts/depot_descriptor.h"
#include "tests/unit/depot-promises.h"

typedef struct Fixture {
        DepotFixture base;
        uint8_t *content;
} Fixture;

static int setup(void **state) {
        Fixture *f = calloc(1, sizeof(*f));
        _cleanup_close_ int fd = memfd_create("content", MFD_CLOEXEC);

        f->content = test_depot_big();
        assert_int_equal(file_write_fd(fd, f->content, TEST_DEPOT_BIG), 0);
        assert_true(sd_event_new(&f->base.event) >= 0);
        assert_int_equal(depot_open_descriptor(f->base.event, fd, "the archive", &f->base.depot, NULL), 0);
        *state = f;
        return 0;
}

static int teardown(void **state) {
        Fixture *f = *state;

        depot_free(f->base.depot);
        sd_event_unref(f->base.event);
        free(f->content);
        free(f);
        return 0;
}

static void test_ranges(void **state) {
        static const struct {
                uint64_t offset;
                size_t length;
        } cases[] = { { 0, 1 }, { 0, TEST_DEPOT_BIG }, { 12345, 3U << 20 }, { TEST_DEPOT_BIG - 1, 1 } };
        Fixture *f = *state;

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_depot_reply_ DepotReply reply = {};

                assert_int_equal(test_depot_get_range(f->base.depot, "any", cases[i].offset, cases[i].length,
                                                      NULL, &reply, NULL),
                                 0);
                assert_int_equal(reply.outcome, DEPOT_OK);
                assert_int_equal(reply.size, TEST_DEPOT_BIG);
                assert_int_equal(reply.body_size, cases[i].length);
                assert_memory_equal(reply.body, f->content + cases[i].offset, cases[i].length);
        }
}

static void test_refused(void **state) {
        Fixture *f = *state;
        _cleanup_depot_reply_ DepotReply reply = {};
        Error error = {};

        assert_int_equal(
                test_depot_get_range(f->base.depot, "any", TEST_DEPOT_BIG - 1, 2, NULL, &reply, &error),
                -ERANGE);
        assert_string_equal(error.message, "the archive: it is shorter than 5242881 bytes");
        assert_int_equal(test_depot_put(f->base.depot, "any", "x", DEPOT_ALWAYS, NULL, &error), -EOPNOTSUPP);
        assert_string_equal(error.message, "the archive: only ranges of it can be read");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void) {
        const struct CMUnitTest tests[] = { TEST(test_ranges), TEST(test_refused) };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
