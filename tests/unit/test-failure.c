#include <jansson.h>
#include <string.h>

#include "agent/base/buffer.h"
#include "agent/failure.h"
#include "tests/unit/test.h"

static json_t *make(const FailureFacts *facts) {
        _cleanup_free_ char *text = NULL;
        json_t *document;

        assert_int_equal(failure_to_text(facts, &text), 0);
        assert_true(strlen(text) <= FAILURE_SIZE_MAX);
        document = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
        assert_non_null(document);
        return document;
}

static FailureFacts facts(const json_t *deployment, const char *journal) {
        return (FailureFacts){
                .instance = "i-1",
                .app = "api",
                .group = "prod",
                .version = "1.0",
                .release_sha256 = "aa",
                .step = "UNITS",
                .fault = "release",
                .reason = "api.service: password=hunter2 is wrong",
                .deployment = deployment,
                .journal = journal,
                .with_output = journal,
                .at = 1000000,
        };
}

static const char *text(const json_t *object, const char *key) {
        return json_string_value(json_object_get(object, key));
}

static void test_document(_unused_ void **state) {
        json_auto_t *deployment =
                json_pack("{s:[{s:s, s:s}]}", "steps", "step", "UNITS", "output_tail", "token: abc\nboom\n");
        FailureFacts f = facts(deployment, "one\ntwo secret=x\n");
        json_auto_t *document = make(&f);
        const json_t *step =
                json_array_get(json_object_get(json_object_get(document, "deployment"), "steps"), 0);

        assert_string_equal(text(document, "instance"), "i-1");
        assert_string_equal(text(document, "at"), "1970-01-01T00:00:01Z");
        assert_string_equal(text(document, "reason"), "api.service: password=[redacted] is wrong");
        assert_string_equal(text(step, "output_tail"), "token: [redacted]\nboom\n");
        assert_int_equal(json_array_size(json_object_get(document, "journal")), 2);
        assert_string_equal(json_string_value(json_array_get(json_object_get(document, "journal"), 1)),
                            "two secret=[redacted]");
}

/* An operator who does not want output in the depot gets none. */
static void test_without_output(_unused_ void **state) {
        json_auto_t *deployment =
                json_pack("{s:[{s:s, s:s}]}", "steps", "step", "UNITS", "output_tail", "boom");
        FailureFacts f = facts(deployment, NULL);
        json_auto_t *document = make(&f);

        assert_true(json_is_null(json_object_get(document, "journal")));
        assert_null(json_object_get(
                json_array_get(json_object_get(json_object_get(document, "deployment"), "steps"), 0),
                "output_tail"));
}

/* However much there is, the document has its limit, and the end of it all. */
static void test_size(_unused_ void **state) {
        json_auto_t *deployment = json_pack("{s:[]}", "steps");
        _cleanup_buffer_ Buffer tail = {}, journal = {};
        const json_t *steps = json_object_get(deployment, "steps"), *lines, *kept;

        for (unsigned i = 0; i < 1000; i++)
                assert_int_equal(buffer_append(&tail, "\x01\"\\\n", 4, SIZE_MAX), 0);
        for (unsigned i = 0; i < 20; i++)
                assert_int_equal(json_array_append_new((json_t *) steps, json_pack("{s:s}", "output_tail",
                                                                                   buffer_string(&tail))),
                                 0);
        for (unsigned i = 0; i < 9000; i++)
                assert_true(buffer_printf(&journal, "\"line\" %u\n", i) >= 0);

        const FailureFacts f = facts(deployment, buffer_string(&journal));
        json_auto_t *document = make(&f);

        lines = json_object_get(document, "journal");
        assert_string_equal(json_string_value(json_array_get(lines, json_array_size(lines) - 1)),
                            "\"line\" 8999");
        assert_true(json_array_size(lines) > 100);
        kept = json_object_get(json_object_get(document, "deployment"), "steps");
        assert_null(json_object_get(json_array_get(kept, 0), "output_tail"));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_document),
                cmocka_unit_test(test_without_output),
                cmocka_unit_test(test_size),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
