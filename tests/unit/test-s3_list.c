#include <string.h>

#include "agent/base/buffer.h"
#include "agent/base/clock.h"
#include "agent/net/s3_list.h"
#include "tests/unit/test.h"

typedef struct Seen {
        Buffer text;
        unsigned n;
        int result;
} Seen;

static int on_object(const S3Object *object, void *userdata) {
        Seen *seen = userdata;

        seen->n++;
        assert_int_equal(buffer_printf(&seen->text, "%s|%s|%llu|%llu|%d\n", object->key, object->etag,
                                       (unsigned long long) object->size,
                                       (unsigned long long) (object->last_modified / USEC_PER_SEC),
                                       object->is_prefix),
                         0);
        return seen->result;
}

static int parse(const char *text, Seen *seen, char **ret_next, Error *error) {
        return s3_list_parse(text, strlen(text), on_object, seen, ret_next, error);
}

#define HEAD "<ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">"
#define OBJECT(key)                                                                                          \
        "<Contents><Key>" key                                                                                \
        "</Key><LastModified>2026-11-21T09:00:00.000Z</LastModified><ETag>&quot;e&quot;</ETag>"              \
        "<Size>12</Size><StorageClass>STANDARD</StorageClass></Contents>"
#define TAIL "</ListBucketResult>"

static void test_page(_unused_ void **state) {
        _cleanup_free_ char *next = NULL;
        Seen seen = {};

        assert_int_equal(
                parse(HEAD "<Name>b</Name><IsTruncated>true</IsTruncated><EncodingType>url</EncodingType>"
                           "<NextContinuationToken>1/+=</NextContinuationToken>" OBJECT("a+b%2Fc%2B") OBJECT(
                                   "%E9%8D%B5") "<CommonPrefixes><Prefix>p%2F</Prefix></CommonPrefixes>" TAIL,
                      &seen, &next, NULL),
                0);
        assert_string_equal(next, "1/+=");
        assert_string_equal(buffer_string(&seen.text),
                            "a b/c+|\"e\"|12|1795251600|0\n\xe9\x8d\xb5|\"e\"|12|1795251600|0\n"
                            "p/||0|0|1\n");
        buffer_deinit(&seen.text);
}

/* A server that does not know encoding-type says nothing of it. */
static void test_plain_keys(_unused_ void **state) {
        _cleanup_free_ char *next = NULL;
        Seen seen = {};

        assert_int_equal(
                parse(HEAD "<IsTruncated>false</IsTruncated>" OBJECT("a+b%2F") TAIL, &seen, &next, NULL), 0);
        assert_null(next);
        assert_string_equal(buffer_string(&seen.text), "a+b%2F|\"e\"|12|1795251600|0\n");
        buffer_deinit(&seen.text);
}

static void test_empty(_unused_ void **state) {
        _cleanup_free_ char *next = NULL;
        Seen seen = {};

        assert_int_equal(parse(HEAD "<KeyCount>0</KeyCount>" TAIL, &seen, &next, NULL), 0);
        assert_int_equal(seen.n, 0);
        assert_null(next);
}

static void test_bad(_unused_ void **state) {
        static const struct {
                const char *text, *message;
        } cases[] = {
                { "", "a list of objects: bad XML in line 1: no element found" },
                { "<Error/>", "a list of objects that is 'Error', expected ListBucketResult" },
                { HEAD "<IsTruncated>true</IsTruncated>" TAIL,
                  "a list of objects with a bad NextContinuationToken" },
                { HEAD "<Contents><Size>1</Size></Contents>" TAIL, "a list of objects with a bad key" },
                { HEAD "<EncodingType>url</EncodingType>" OBJECT("a%zz") TAIL,
                  "a list of objects with a bad key" },
                { HEAD "<EncodingType>url</EncodingType>" OBJECT("a%00b") TAIL,
                  "a list of objects with a bad key" },
                { HEAD "<Contents><Key>k</Key><Size>-1</Size></Contents>" TAIL,
                  "a list of objects with a bad Size" },
                { HEAD "<Contents><Key>k</Key><Size>1</Size><LastModified>x</LastModified></Contents>" TAIL,
                  "a list of objects with a bad LastModified" },
                { HEAD "<CommonPrefixes/>" TAIL, "a list of objects with a bad key" },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                char *next = NULL;
                Error error = {};
                Seen seen = {};

                assert_int_equal(parse(cases[i].text, &seen, &next, &error), -EBADMSG);
                assert_string_equal(error.message, cases[i].message);
                assert_null(next);
                buffer_deinit(&seen.text);
        }
}

static void test_stopped(_unused_ void **state) {
        Seen seen = { .result = -ECANCELED };
        char *next = NULL;

        assert_int_equal(parse(HEAD OBJECT("a") OBJECT("b") TAIL, &seen, &next, NULL), -ECANCELED);
        assert_int_equal(seen.n, 1);
        buffer_deinit(&seen.text);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_page), cmocka_unit_test(test_plain_keys), cmocka_unit_test(test_empty),
                cmocka_unit_test(test_bad),  cmocka_unit_test(test_stopped),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
