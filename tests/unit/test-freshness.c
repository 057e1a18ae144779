#include <string.h>

#include "artifacts/freshness.h"
#include "tests/unit/documents.h"
#include "tests/unit/test.h"

static Freshness *golden(void) {
        _cleanup_buffer_ Buffer payload = {};
        Freshness *freshness;
        Error error = {};

        documents_read("freshness.json", &payload);
        if (freshness_parse(payload.data, payload.size, &freshness, &error) < 0)
                fail_msg("%s", error.message);
        return freshness;
}

static void test_is_canonical(void **state) {
        _cleanup_freshness_ Freshness *freshness = golden();
        _cleanup_buffer_ Buffer payload = {};
        _cleanup_free_ char *text = NULL;
        size_t size;

        (void) state;
        documents_read("freshness.json", &payload);
        assert_int_equal(freshness_to_json(freshness, &text, &size, NULL), 0);
        assert_string_equal(text, buffer_string(&payload));
}

static int parse(const void *data, size_t size, Error *error) {
        _cleanup_freshness_ Freshness *freshness = NULL;

        return freshness_parse(data, size, &freshness, error);
}

static void test_hostile(void **state) {
        (void) state;
        documents_try_hostile("freshness", parse);
}

static void test_open(void **state) {
        _cleanup_buffer_ Buffer root_envelope = {}, envelope = {};
        _cleanup_freshness_ Freshness *freshness = NULL, *none = NULL;
        _cleanup_trust_root_ TrustRoot *root = NULL;
        Error error;

        (void) state;
        documents_read("root.envelope.json", &root_envelope);
        documents_read("freshness.envelope.json", &envelope);
        assert_int_equal(trust_root_load("root.json", root_envelope.data, root_envelope.size, &root, NULL),
                         0);
        assert_int_equal(freshness_open(root, envelope.data, envelope.size, DOCUMENTS_NOW, "api", "prod",
                                        &freshness, NULL),
                         0);
        assert_int_equal(freshness->serial, 18);
        assert_int_equal(freshness_open(root, envelope.data, envelope.size, DOCUMENTS_NOW, "api", "test",
                                        &none, &error),
                         -EBADMSG);
        assert_string_equal(error.message,
                            "freshness api test: expected the app and group of the instance, found api prod");
        assert_int_equal(freshness_open(root, envelope.data, envelope.size, DOCUMENTS_NOW, "web", "prod",
                                        &none, &error),
                         -EBADMSG);
}

static void test_check(void **state) {
        _cleanup_freshness_ Freshness *freshness = golden();
        _cleanup_target_ Target *target = NULL;
        _cleanup_buffer_ Buffer payload = {};
        Error error;

        (void) state;
        documents_read("target.json", &payload);
        assert_int_equal(target_parse(payload.data, payload.size, &target, NULL), 0);
        assert_int_equal(freshness_check(freshness, target, freshness->expires - 1, NULL), 0);
        assert_int_equal(freshness_check(freshness, target, freshness->expires, &error), -ESTALE);
        assert_string_equal(error.message, "freshness api prod: expired at 2026-11-28T10:00:00Z");
        freshness->target_sha256[0] ^= 1;
        assert_int_equal(freshness_check(freshness, target, DOCUMENTS_NOW, &error), -ESTALE);
        freshness->target_sha256[0] ^= 1;
        target->serial = 19;
        assert_int_equal(freshness_check(freshness, target, DOCUMENTS_NOW, &error), -ESTALE);
        assert_string_equal(error.message,
                            "freshness api prod: speaks of serial 18, this target is another one (19)");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_is_canonical),
                cmocka_unit_test(test_hostile),
                cmocka_unit_test(test_open),
                cmocka_unit_test(test_check),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
