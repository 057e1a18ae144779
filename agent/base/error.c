#include <stdarg.h>
#include <string.h>

#include "agent/base/error.h"
#include "agent/base/utf8.h"

/* From byte N of the message on. */
static void format_message(Error *error, size_t n, const char *format, va_list arguments) {
        utf8_vformat(error->message + n, sizeof(error->message) - n, format, arguments);
}

ErrorFault error_fault_of(int r) {
        switch (-r) {
        case ENOSPC:
        case EDQUOT:
        case ENOMEM:
        case EROFS:
        case EIO:
        case EMFILE:
        case ENFILE:
        case EACCES:
        case EPERM:
        case EAGAIN:
        case ENETDOWN:
        case ENETUNREACH:
        case EHOSTUNREACH:
        case EHOSTDOWN:
        case ECONNREFUSED:
        case ECONNRESET:
        case ECONNABORTED:
        case ETIMEDOUT:
        case EPIPE:
                return FAULT_HOST;
        default:
                return FAULT_UNKNOWN;
        }
}

const char *error_fault_to_string(ErrorFault fault) {
        static const char *const names[] = {
                [FAULT_UNKNOWN] = "unknown",
                [FAULT_HOST] = "host",
                [FAULT_RELEASE] = "release",
                [FAULT_INPUT] = "input",
        };

        return (size_t) fault < ELEMENTSOF(names) ? names[fault] : "unknown";
}

int error_fault_from_string(const char *text, ErrorFault *ret) {
        for (ErrorFault fault = FAULT_UNKNOWN; fault <= FAULT_INPUT; fault++)
                if (strcmp(error_fault_to_string(fault), text) == 0) {
                        *ret = fault;
                        return 0;
                }
        return -EINVAL;
}

int error_set(Error *error, int r, const char *format, ...) {
        if (error) {
                va_list arguments;

                va_start(arguments, format);
                format_message(error, 0, format, arguments);
                va_end(arguments);
                error->fault = error_fault_of(r);
        }
        return r;
}

int error_set_fault(Error *error, int r, ErrorFault fault, const char *format, ...) {
        if (error) {
                va_list arguments;

                va_start(arguments, format);
                format_message(error, 0, format, arguments);
                va_end(arguments);
                error->fault = fault;
        }
        return r;
}

/* E2BIG comes from limits of ours here, whatever else it was made for. */
static const char *errno_text(int r) {
        return abs(r) == E2BIG ? "it is larger than expected" : strerror(abs(r));
}

int error_set_errno(Error *error, int r, const char *format, ...) {
        if (error) {
                va_list arguments;

                va_start(arguments, format);
                format_message(error, 0, format, arguments);
                va_end(arguments);
                error_append(error, ": %s", errno_text(r));
                error->fault = error_fault_of(r);
        }
        return r;
}

void error_prefix(Error *error, const char *format, ...) {
        char was[ERROR_MESSAGE_MAX];
        va_list arguments;

        if (!error)
                return;
        memcpy(was, error->message, sizeof(was));
        va_start(arguments, format);
        format_message(error, 0, format, arguments);
        va_end(arguments);
        error_append(error, ": %s", was);
}

void error_append(Error *error, const char *format, ...) {
        va_list arguments;

        if (!error)
                return;
        va_start(arguments, format);
        format_message(error, strlen(error->message), format, arguments);
        va_end(arguments);
}

void error_blame(Error *error, ErrorFault fault) {
        if (error)
                error->fault = fault;
}

int error_oom(Error *error) {
        return error_set(error, -ENOMEM, "out of memory");
}
