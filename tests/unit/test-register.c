#include <string.h>

#include "agent/register.h"
#include "artifacts/layout.h"
#include "tests/unit/documents.h"
#include "tests/unit/test.h"

static Register *golden(void) {
        _cleanup_buffer_ Buffer text = {};
        Register *reg;
        Error error = {};

        documents_read("register.json", &text);
        if (register_parse(text.data, text.size, &reg, &error) < 0)
                fail_msg("%s", error.message);
        return reg;
}

static void test_golden(void **state) {
        _cleanup_register_ Register *reg = golden();

        (void) state;
        assert_string_equal(reg->id, "r-20261121-1");
        assert_int_equal(reg->rev, 7);
        assert_int_equal(reg->state, REGISTER_PAUSED);
        assert_string_equal(register_state_to_string(reg->state), "paused");
        assert_string_equal(reg->by, "ana");
        assert_int_equal(reg->stage, 1);
        assert_int_equal(reg->fleet, 40);
        assert_int_equal(reg->full, reg->opened + UINT64_C(240000000));
        assert_int_equal(reg->places.n, 2);
        assert_int_equal(reg->places.items[1].move, REGISTER_DOWN);
        assert_true(reg->places.items[1].late);
}

static void test_is_canonical(void **state) {
        _cleanup_register_ Register *reg = golden();
        _cleanup_buffer_ Buffer text = {};
        _cleanup_free_ char *again = NULL;
        size_t size;

        (void) state;
        documents_read("register.json", &text);
        assert_int_equal(register_to_json(reg, &again, &size, NULL), 0);
        assert_string_equal(again, buffer_string(&text));
}

static int parse(const void *data, size_t size, Error *error) {
        _cleanup_register_ Register *reg = NULL;

        return register_parse(data, size, &reg, error);
}

static void test_hostile(void **state) {
        (void) state;
        documents_try_hostile("register", parse);
}

static void test_too_large(void **state) {
        _cleanup_free_ char *text = malloc(REGISTER_SIZE_MAX + 2);
        Error error;

        (void) state;
        assert_non_null(text);
        memset(text, ' ', REGISTER_SIZE_MAX + 2);
        assert_int_equal(parse(text, REGISTER_SIZE_MAX + 1, &error), -EBADMSG);
        assert_non_null(strstr(error.message, "2097152"));
}

/* With as many places as there may be, of the longest names, it is still below its limit. */
static void test_places(void **state) {
        _cleanup_register_ Register *reg = golden();
        _cleanup_free_ char *text = NULL;
        char name[LAYOUT_INSTANCE_MAX + 1];
        size_t size;

        (void) state;
        memset(name, 'x', sizeof(name));
        while (reg->places.n < REGISTER_PLACES_MAX) {
                snprintf(name + sizeof(name) - 6, 6, "%05zu", reg->places.n);
                assert_int_equal(register_add_place(reg, name, 99, REGISTER_DOWN, reg->opened), 0);
        }
        assert_int_equal(register_add_place(reg, "one-more", 1, REGISTER_UP, reg->opened), -E2BIG);
        assert_int_equal(register_to_json(reg, &text, &size, NULL), 0);
        assert_true(size < REGISTER_SIZE_MAX);
        assert_ptr_equal(register_find_place(reg, name), reg->places.items + REGISTER_PLACES_MAX - 1);
        while (reg->places.n > 1)
                register_remove_place(reg, 1);
        register_remove_place(reg, 0);
        assert_null(register_find_place(reg, name));
        free(text);
        assert_int_equal(register_to_json(reg, &text, &size, NULL), 0);
        assert_null(strstr(text, "places"));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_golden),  cmocka_unit_test(test_is_canonical),
                cmocka_unit_test(test_hostile), cmocka_unit_test(test_too_large),
                cmocka_unit_test(test_places),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
