LIB_SRC += \
        agent/net/curl_loop.c \
        agent/net/digest.c \
        agent/net/http.c \
        agent/net/http_date.c \
        agent/net/http_failure.c \
        agent/net/sigv4.c \
        agent/net/url.c \
        agent/net/xml.c

UNIT_TESTS += \
        test-digest \
        test-http \
        test-sigv4 \
        test-url

# A server on the test's own event loop.
TEST_SUPPORT_SRC += tests/unit/http-server.c
