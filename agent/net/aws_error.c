#include <ctype.h>
#include <jansson.h>
#include <string.h>

#include "agent/base/strv.h"
#include "agent/base/utf8.h"
#include "agent/net/aws_error.h"
#include "agent/net/endpoint.h"
#include "agent/net/retry.h"
#include "agent/net/xml.h"

#define ERROR_BODY_MAX (64U * 1024U)

/* Copies what can be shown: a message may be anything that some server made up. */
static void copy_text(char *to, size_t size, const char *from) {
        size_t n = 0;

        for (; from && *from && n + 1 < size; from++)
                to[n++] = (char) (iscntrl((unsigned char) *from) ? ' ' : *from);
        to[n] = '\0';
        utf8_make_printable(to, n); /* it may have been cut in the middle of a character */
}

static void parse_xml(const char *body, size_t size, AwsError *ret) {
        _cleanup_(xml_freep) XmlElement *root = NULL;
        const XmlElement *element;
        const char *request_id;

        if (xml_parse(body, size, &root, NULL) < 0)
                return;
        element = strcmp(root->name, "Error") == 0 ? root : xml_find(root, "Error");
        if (!element) /* EC2's */
                element = xml_find(root, "Errors/Error");
        copy_text(ret->code, sizeof(ret->code), xml_text(element, "Code"));
        copy_text(ret->message, sizeof(ret->message), xml_text(element, "Message"));
        copy_text(ret->region, sizeof(ret->region), xml_text(element, "Region"));
        request_id = xml_text(root, "RequestId");
        copy_text(ret->request_id, sizeof(ret->request_id), request_id);
}

/* "namespace#Name:uri" is Name. */
static void copy_json_code(char *to, size_t size, const char *type) {
        const char *hash = type ? strchr(type, '#') : NULL;

        copy_text(to, size, hash ? hash + 1 : type);
        to[strcspn(to, ":")] = '\0';
}

static void parse_json(const char *body, size_t size, AwsError *ret) {
        json_auto_t *object = json_loadb(body, size, 0, NULL);
        const char *message = json_string_value(json_object_get(object, "message"));

        if (!message)
                message = json_string_value(json_object_get(object, "Message"));
        copy_json_code(ret->code, sizeof(ret->code), json_string_value(json_object_get(object, "__type")));
        copy_text(ret->message, sizeof(ret->message), message);
}

void aws_error_parse(const char *body, size_t size, AwsError *ret) {
        *ret = (AwsError){};
        while (size > 0 && isspace((unsigned char) *body)) {
                body++;
                size--;
        }
        if (size == 0 || size > ERROR_BODY_MAX)
                return;
        if (*body == '<')
                parse_xml(body, size, ret);
        else if (*body == '{')
                parse_json(body, size, ret);
        if (!aws_region_is_valid(ret->region))
                ret->region[0] = '\0';
}

/* "AWS.SimpleQueueService.NonExistentQueue;Sender": what the service said before it spoke JSON. */
static void copy_query_code(char *to, size_t size, const char *header) {
        copy_text(to, size, header);
        to[strcspn(to, ";")] = '\0';
}

void aws_error_read(const HttpTransfer *transfer, AwsError *ret) {
        const Buffer *body = http_transfer_body(transfer);
        const char *header;

        aws_error_parse(buffer_string(body), body->size, ret);
        ret->status = http_transfer_status(transfer);
        header = http_transfer_header(transfer, "x-amzn-ErrorType");
        if (header && !ret->code[0])
                copy_json_code(ret->code, sizeof(ret->code), header);
        header = http_transfer_header(transfer, "x-amzn-query-error");
        if (header && !ret->code[0])
                copy_query_code(ret->code, sizeof(ret->code), header);
        header = http_transfer_header(transfer, "x-amz-bucket-region");
        if (header && aws_region_is_valid(header))
                copy_text(ret->region, sizeof(ret->region), header);
        header = http_transfer_header(transfer, "x-amz-request-id");
        if (!header)
                header = http_transfer_header(transfer, "x-amzn-RequestId");
        if (header)
                copy_text(ret->request_id, sizeof(ret->request_id), header);
}

static const char *after_request(const char *text) {
        text += strlen(AWS_ERROR_REQUEST);
        return text + strcspn(text, " ,)");
}

bool aws_error_is_same(const char *a, const char *b) {
        for (;;) {
                const char *a_request = strstr(a, AWS_ERROR_REQUEST),
                           *b_request = strstr(b, AWS_ERROR_REQUEST);

                if (!a_request || !b_request)
                        return strcmp(a, b) == 0;
                if (a_request - a != b_request - b || memcmp(a, b, (size_t) (a_request - a)) != 0)
                        return false;
                a = after_request(a_request);
                b = after_request(b_request);
        }
}

bool aws_error_in_body(const char *body, size_t size) {
        _cleanup_(xml_freep) XmlElement *root = NULL;

        if (size == 0 || size > ERROR_BODY_MAX || xml_parse(body, size, &root, NULL) < 0)
                return false;
        return strcmp(root->name, "Error") == 0;
}

/* Refused for who asks, whatever the status. */
static bool is_refusal(const char *code) {
        static const char *const codes[] = {
                "AccessDenied",
                "AccessDeniedException",
                "InvalidAccessKeyId",
                "InvalidClientTokenId",
                "SignatureDoesNotMatch",
                "UnauthorizedOperation",
                "AuthFailure",
                "ExpiredToken",
                "ExpiredTokenException",
                "InvalidToken",
                "InvalidSignatureException",
                "IncompleteSignature",
                "UnrecognizedClientException",
                "OptInRequired",
                "AuthorizationError",
        };

        for (size_t i = 0; i < ELEMENTSOF(codes); i++)
                if (string_equal(code, codes[i]))
                        return true;
        return false;
}

/* Not there, although the status is 400 as for every refusal of the JSON and Query protocols. */
static bool is_absence(const char *code) {
        static const char *const codes[] = {
                "QueueDoesNotExist",
                "AWS.SimpleQueueService.NonExistentQueue",
        };

        for (size_t i = 0; i < ELEMENTSOF(codes); i++)
                if (string_equal(code, codes[i]))
                        return true;
        return false;
}

int aws_error_result(const AwsError *aws_error) {
        if (retry_is_throttling(aws_error->status, aws_error->code) ||
            retry_is_transient(aws_error->status, aws_error->code))
                return -EAGAIN;
        if (aws_error->status == 401 || aws_error->status == 403 || is_refusal(aws_error->code))
                return -EACCES;
        return aws_error->status == 404 || is_absence(aws_error->code) ? -ENOENT : -EREMOTEIO;
}
