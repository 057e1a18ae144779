#pragma once

/* Errors.
 *
 * A function that can fail returns a negative errno, unchanged from where it arose; where its caller must tell
 * outcomes apart it returns a small positive set of its own. The trailing `Error *error` (may be NULL) carries one
 * sentence for a person: it names the file, field or peer, and what was expected. It is set only on failure, at
 * the place that knows most; callers higher up prefix what they know. Whatever was quoted in it, a message is UTF-8, since
 * it goes into documents.
 *
 * The fault says who is to blame, since a rollout counts only what the release is to blame for. */

#include "agent/base/cleanup.h"

#define ERROR_MESSAGE_MAX 1024

typedef enum ErrorFault {
        FAULT_UNKNOWN,
        FAULT_HOST,    /* this machine or its network: no space, no memory, no permission, no answer */
        FAULT_RELEASE, /* what was published: bad archive, failing hook, unit or health check */
        FAULT_INPUT,   /* what an operator wrote: configuration, command line, a document */
} ErrorFault;

typedef struct Error {
        ErrorFault fault;
        char message[ERROR_MESSAGE_MAX];
} Error;

/* Sets the message, and the fault by what R usually means; a message too long is cut. Returns R.
 * R is a negative errno or a positive code of the module's own. */
int error_set(Error *error, int r, const char *format, ...) _printf_(3, 4);

/* The same, with the fault given. */
int error_set_fault(Error *error, int r, ErrorFault fault, const char *format, ...) _printf_(4, 5);

/* "format: strerror(-r)". Returns R. */
int error_set_errno(Error *error, int r, const char *format, ...) _printf_(3, 4);

/* Puts "format: " before the message that is there. */
void error_prefix(Error *error, const char *format, ...) _printf_(2, 3);

/* Puts more after it, as far as there is room. */
void error_append(Error *error, const char *format, ...) _printf_(2, 3);

/* Says who is to blame, whatever was said before. */
void error_blame(Error *error, ErrorFault fault);

/* -ENOMEM with its sentence. */
int error_oom(Error *error);

/* What a negative errno usually says about who is to blame. */
ErrorFault error_fault_of(int r);

/* "host", "release", "input", "unknown" */
const char *error_fault_to_string(ErrorFault fault);
int error_fault_from_string(const char *text, ErrorFault *ret);
