#pragma once

/* The journal. Library code logs nothing above debug; the engine logs what happened once, with a MESSAGE_ID that
 * never changes, the app in front of the text, and the fields MUSTER_APP, MUSTER_VERSION, MUSTER_DEPLOYMENT,
 * MUSTER_EVENT and MUSTER_INSTANCE. Where standard error is not the journal (a terminal, a test), the text goes there
 * instead. */

#include <syslog.h>

#include "agent/base/cleanup.h"

typedef struct LogFields {
        const char *app; /* each may be NULL: then the field is left out */
        const char *version;
        const char *deployment;
        const char *event;
        const char *instance;
} LogFields;

/* Entries above this priority (LOG_DEBUG is the highest number) are dropped; LOG_INFO unless set. */
void log_set_max_priority(int priority);

/* PRIORITY as in syslog.h; MESSAGE_ID 32 hex digits or NULL; FIELDS or NULL. Keeps errno. */
void log_message(int priority, const char *message_id, const LogFields *fields, const char *format, ...)
        _printf_(4, 5);

#define log_debug(...) log_message(LOG_DEBUG, NULL, NULL, __VA_ARGS__)
#define log_info(...) log_message(LOG_INFO, NULL, NULL, __VA_ARGS__)
#define log_warning(...) log_message(LOG_WARNING, NULL, NULL, __VA_ARGS__)
#define log_error(...) log_message(LOG_ERR, NULL, NULL, __VA_ARGS__)
