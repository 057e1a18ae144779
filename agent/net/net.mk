LIB_SRC += \
        agent/net/arn.c \
        agent/net/autoscaling.c \
        agent/net/autoscaling_group.c \
        agent/net/aws.c \
        agent/net/aws_call.c \
        agent/net/aws_error.c \
        agent/net/aws_json.c \
        agent/net/aws_profile.c \
        agent/net/aws_query.c \
        agent/net/aws_request.c \
        agent/net/cloudwatch.c \
        agent/net/container_credentials.c \
        agent/net/credential_chain.c \
        agent/net/credential_lookup.c \
        agent/net/credential_plan.c \
        agent/net/credential_process.c \
        agent/net/credentials.c \
        agent/net/curl_loop.c \
        agent/net/digest.c \
        agent/net/elb.c \
        agent/net/elb_answer.c \
        agent/net/endpoint.c \
        agent/net/http.c \
        agent/net/http_answer.c \
        agent/net/http_date.c \
        agent/net/http_easy.c \
        agent/net/http_failure.c \
        agent/net/http_upload.c \
        agent/net/imds.c \
        agent/net/ip_route.c \
        agent/net/retry.c \
        agent/net/s3.c \
        agent/net/s3_bucket.c \
        agent/net/s3_list.c \
        agent/net/sigv4.c \
        agent/net/sns.c \
        agent/net/sqs.c \
        agent/net/sqs_message.c \
        agent/net/sts.c \
        agent/net/sts_assume.c \
        agent/net/url.c \
        agent/net/xml.c

UNIT_TESTS += \
        test-arn \
        test-autoscaling \
        test-aws_call \
        test-aws_error \
        test-aws_request \
        test-aws_profile \
        test-cloudwatch \
        test-credential_chain \
        test-credential_lookup \
        test-credential_plan \
        test-credential_process \
        test-credentials \
        test-digest \
        test-elb \
        test-elb_answer \
        test-endpoint \
        test-http \
        test-http-proxy \
        test-http-tls \
        test-http_answer \
        test-http_date \
        test-imds \
        test-ip_route \
        test-retry \
        test-s3 \
        test-s3_bucket \
        test-s3_list \
        test-sigv4 \
        test-sns \
        test-sqs \
        test-sqs_message \
        test-sts \
        test-url \
        test-xml
test-http-tls_LDFLAGS := -Wl,--wrap=curl_version_info

FUZZERS += \
        fuzz-aws_error \
        fuzz-aws_profile \
        fuzz-credentials \
        fuzz-elb_answer \
        fuzz-http_answer \
        fuzz-http_date \
        fuzz-s3_list \
        fuzz-sigv4 \
        fuzz-sqs_message \
        fuzz-url \
        fuzz-xml

# A server on the test's own event loop.
TEST_SUPPORT_SRC += tests/unit/http-server.c tests/unit/outcome.c tests/unit/aws-client.c
