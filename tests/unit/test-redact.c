#include <string.h>

#include "agent/base/cleanup.h"
#include "agent/redact.h"
#include "tests/unit/test.h"

static void test_secrets(_unused_ void **state) {
        static const struct {
                const char *before;
                const char *after;
        } rows[] = {
                { "DB_PASSWORD=hunter2 next", "DB_PASSWORD=[redacted] next" },
                { "password: hunter2", "password: [redacted]" },
                { "{\"api_token\": \"a b,c\", \"x\": 1}", "{\"api_token\": \"[redacted]\", \"x\": 1}" },
                { "client-secret = 'a b'", "client-secret = '[redacted]'" },
                { "Authorization: Bearer abc.def", "Authorization: Bearer [redacted]" },
                { "authorization: Basic dXNlcg==", "authorization: Basic [redacted]" },
                { "key AKIAIOSFODNN7EXAMPLE end", "key [redacted] end" },
                { "aws_secret_access_key=wJalr/XUt+n", "aws_secret_access_key=[redacted]" },
                { "postgres://app:s3cret@db:5432/x", "postgres://app:[redacted]@db:5432/x" },
                { "a\n-----BEGIN RSA PRIVATE KEY-----\nMII\n-----END RSA PRIVATE KEY-----\nb",
                  "a\n[redacted]\nb" },
                { "-----BEGIN PRIVATE KEY-----\ncut", "[redacted]" },
                { "https://h/?token=abc&x=1", "https://h/?token=[redacted]&x=1" },
        };

        for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
                _cleanup_free_ char *text = redact(rows[i].before);

                assert_string_equal(text, rows[i].after);
        }
}

/* What a reader wants to see stays. */
static void test_others(_unused_ void **state) {
        static const char *const rows[] = {
                "",
                "GET http://127.0.0.1:8080/healthz: status 503, expected 200; 14 of 14 attempts failed",
                "api.service: exited with status 1 at 10:30:00",
                "password",
                "the token is missing",
                "tokens=4096",
                "-----BEGIN CERTIFICATE-----\nMII\n-----END CERTIFICATE-----",
                "AKIASHORT and MYAKIAIOSFODNN7EXAMPLE",
        };

        for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
                _cleanup_free_ char *text = redact(rows[i]);

                assert_string_equal(text, rows[i]);
        }
}

int main(void) {
        const struct CMUnitTest tests[] = { cmocka_unit_test(test_secrets), cmocka_unit_test(test_others) };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
