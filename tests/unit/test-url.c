#include <string.h>

#include "agent/net/url.h"
#include "tests/unit/test.h"

static void test_encode(_unused_ void **state) {
        _cleanup_buffer_ Buffer buffer = {};
        char all[256];

        assert_int_equal(url_encode(&buffer, "a b+c/\xc3\xa9~", 9, true), 0);
        assert_string_equal(buffer_string(&buffer), "a%20b%2Bc/%C3%A9~");
        buffer_clear(&buffer);
        assert_int_equal(url_encode(&buffer, "//..//", 6, false), 0);
        assert_string_equal(buffer_string(&buffer), "%2F%2F..%2F%2F");

        for (size_t i = 0; i < sizeof(all); i++)
                all[i] = (char) i;
        buffer_clear(&buffer);
        assert_int_equal(url_encode(&buffer, all, sizeof(all), false), 0);
        assert_int_equal(buffer.size, 66 + (256 - 66) * 3);
        assert_int_equal(strspn(buffer_string(&buffer), "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                                        "0123456789-._~%"),
                         buffer.size);
}

static void test_query(_unused_ void **state) {
        _cleanup_buffer_ Buffer query = {};

        assert_int_equal(url_query_add(&query, "list-type", "2"), 0);
        assert_int_equal(url_query_add(&query, "location", NULL), 0);
        assert_int_equal(url_query_addf(&query, "Ids.member.1", "i-%d&=", 7), 0);
        assert_string_equal(buffer_string(&query), "list-type=2&location=&Ids.member.1=i-7%26%3D");
}

static void test_decode(_unused_ void **state) {
        static const char *const bad[] = { "%", "%4", "a%4", "%4x", "%x4", "%%41" };
        _cleanup_buffer_ Buffer buffer = {};

        assert_int_equal(url_decode(&buffer, "a%2fb+%C3%A9", 12, true), 0);
        assert_string_equal(buffer_string(&buffer), "a/b \xc3\xa9");
        buffer_clear(&buffer);
        assert_int_equal(url_decode(&buffer, "a+b", 3, false), 0);
        assert_string_equal(buffer_string(&buffer), "a+b");
        for (size_t i = 0; i < ELEMENTSOF(bad); i++)
                assert_int_equal(url_decode(&buffer, bad[i], strlen(bad[i]), false), -EINVAL);
}

static void test_parse(_unused_ void **state) {
        static const struct {
                const char *text, *scheme, *host, *authority, *path, *query;
                int port;
        } cases[] = {
                { "https://s3.amazonaws.com", "https", "s3.amazonaws.com", "s3.amazonaws.com", "/", NULL,
                  443 },
                { "http://H:80/a%2Fb//..?x=1?&y", "http", "h", "h", "/a%2Fb//..", "x=1?&y", 80 },
                { "HTTPS://127.0.0.1:80/", "https", "127.0.0.1", "127.0.0.1:80", "/", NULL, 80 },
                { "http://[FD00:ec2::254]", "http", "[fd00:ec2::254]", "[fd00:ec2::254]", "/", NULL, 80 },
                { "http://[::1]:8080?a", "http", "[::1]", "[::1]:8080", "/", "a", 8080 },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_url_ Url url = {};

                assert_int_equal(url_parse(cases[i].text, &url, NULL), 0);
                assert_string_equal(url.scheme, cases[i].scheme);
                assert_string_equal(url.host, cases[i].host);
                assert_string_equal(url.authority, cases[i].authority);
                assert_string_equal(url.path, cases[i].path);
                assert_int_equal(url.port, cases[i].port);
                if (cases[i].query)
                        assert_string_equal(url.query, cases[i].query);
                else
                        assert_null(url.query);
        }
}

static void test_parse_bad(_unused_ void **state) {
        static const char *const bad[] = {
                "",
                "localhost",
                "ftp://h",
                "http://",
                "http:///path",
                "http://h:0",
                "http://h:65536",
                "http://h:x",
                "http://h:",
                "http://h/a b",
                "http://h/\xc3\xa9",
                "http://h/#f",
                "http://u@h/",
                "http://[::1",
                "http://[]/",
                "http://h/\n",
                "http://a b/",
                "http://h%20/",
                "http://h\\@x/",
        };
        char text[URL_MAX + 2] = "http://h/";
        Error error = {};

        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                _cleanup_url_ Url url = {};

                assert_int_equal(url_parse(bad[i], &url, &error), -EINVAL);
                assert_null(url.scheme);
                assert_int_equal(error.fault, FAULT_INPUT);
        }
        memset(text + 9, 'x', sizeof(text) - 10);
        assert_int_equal(url_parse(text, &(Url){}, &error), -EINVAL);
        assert_int_equal(url_parse("http://user:secret@h", &(Url){}, &error), -EINVAL);
        assert_null(strstr(error.message, "secret"));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_encode),    cmocka_unit_test(test_query),
                cmocka_unit_test(test_decode),    cmocka_unit_test(test_parse),
                cmocka_unit_test(test_parse_bad),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
