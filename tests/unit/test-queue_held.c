#include "agent/queue_held.h"
#include "tests/unit/test.h"

#define N_APPS 2
#define ROOT N_APPS

/* What each watcher has judged so far. */
typedef struct Fixture {
        QueueHeld held;
        uint64_t judged[N_APPS + 1];
} Fixture;

static int setup(void **state) {
        Fixture *f = calloc(1, sizeof(*f));

        assert_non_null(f);
        queue_held_init(&f->held, N_APPS);
        *state = f;
        return 0;
}

static int teardown(void **state) {
        Fixture *f = *state;

        queue_held_deinit(&f->held);
        free(f);
        return 0;
}

static bool has_looked(void *userdata, size_t watcher, uint64_t look) {
        const Fixture *f = userdata;

        return f->judged[watcher] >= look;
}

static void assert_take(Fixture *f, uint64_t now, const char *expected) {
        _cleanup_free_ char *receipt = queue_held_take(&f->held, now, has_looked, f);

        if (!expected)
                assert_null(receipt);
        else {
                assert_non_null(receipt);
                assert_string_equal(receipt, expected);
        }
}

static void test_waits_for_all(void **state) {
        Fixture *f = *state;

        assert_int_equal(queue_held_add(&f->held, "r", 3, true, 100), 0);
        for (size_t i = 0; i <= ROOT; i++) {
                assert_true(queue_held_wants(&f->held, i));
                queue_held_asked(&f->held, i, 5);
                assert_false(queue_held_wants(&f->held, i));
        }
        f->judged[0] = 5;
        f->judged[1] = 4; /* an earlier one */
        f->judged[ROOT] = 6;
        assert_take(f, 0, NULL);
        f->judged[1] = 5;
        assert_take(f, 0, "r");
        assert_int_equal(f->held.n, 0);
}

/* A look that was asked for before a message came says nothing about it. */
static void test_later_message(void **state) {
        Fixture *f = *state;

        assert_int_equal(queue_held_add(&f->held, "first", 1, false, 100), 0);
        queue_held_asked(&f->held, 0, 1);
        assert_int_equal(queue_held_add(&f->held, "second", 1, false, 100), 0);
        assert_true(queue_held_wants(&f->held, 0));
        f->judged[0] = 1;
        assert_take(f, 0, "first");
        assert_take(f, 0, NULL);
        queue_held_asked(&f->held, 0, 2);
        f->judged[0] = 2;
        assert_take(f, 0, "second");
}

static void test_time_is_over(void **state) {
        Fixture *f = *state;

        assert_int_equal(queue_held_add(&f->held, "late", 1, false, 100), 0);
        assert_int_equal(queue_held_add(&f->held, "later", 1, false, 200), 0);
        assert_take(f, 99, NULL);
        assert_int_equal(f->held.n, 2);
        assert_take(f, 100, NULL);
        assert_int_equal(f->held.n, 1);
        queue_held_asked(&f->held, 0, 1);
        f->judged[0] = 1;
        assert_take(f, 300, "later"); /* it may well be removed still */
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_waits_for_all),
                TEST(test_later_message),
                TEST(test_time_is_over),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
