#pragma once

/* What a service says in refusing, in the shapes in which the services here answer: S3's <Error>, the Query API's
 * <ErrorResponse><Error>, JSON's __type; and nothing but headers where there is no body (HEAD). Pure. */

#include "agent/net/http.h"

#define AWS_ERROR_CODE_MAX 128
#define AWS_ERROR_MESSAGE_MAX 512
#define AWS_ERROR_REGION_MAX 64

typedef struct AwsError {
        int status;
        char code[AWS_ERROR_CODE_MAX]; /* "NoSuchKey"; "" where the answer had none */
        char message[AWS_ERROR_MESSAGE_MAX];
        char request_id[AWS_ERROR_CODE_MAX];
        char region[AWS_ERROR_REGION_MAX]; /* the bucket's, where S3 says so */
} AwsError;

/* The code, message and so on that BODY has; what is missing stays "". */
void aws_error_parse(const char *body, size_t size, AwsError *ret);

/* Of a whole answer: the body, and what only headers say. */
void aws_error_read(const HttpTransfer *transfer, AwsError *ret);

/* How a message of aws_call.c names the request, for AWS's support: every one has another. */
#define AWS_ERROR_REQUEST ", request "

/* Whether two messages say the same, but for the requests that they name: such a problem lasts, and is not told again. */
bool aws_error_is_same(const char *a, const char *b);

/* Whether a body that came with 200 is an error all the same, as S3 does after a long operation. */
bool aws_error_in_body(const char *body, size_t size);

/* The negative errno that aws.h lists for it. */
int aws_error_result(const AwsError *aws_error);
