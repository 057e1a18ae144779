#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>

#define SD_JOURNAL_SUPPRESS_LOCATION /* it would always be the same line here */
#include <systemd/sd-journal.h>

#include "agent/base/log.h"
#include "agent/base/utf8.h"

#define LOG_TEXT_MAX 2048U
#define LOG_FIELDS_MAX 8U

static int max_priority = LOG_INFO; /* set once, by main */

void log_set_max_priority(int priority) {
        max_priority = priority;
}

/* systemd puts the device and inode of the journal's stream into JOURNAL_STREAM (systemd.exec(5)). */
static bool stderr_is_journal(void) {
        const char *stream = getenv("JOURNAL_STREAM");
        uint64_t device, inode;
        struct stat st;

        return stream && sscanf(stream, "%" SCNu64 ":%" SCNu64, &device, &inode) == 2 &&
               fstat(STDERR_FILENO, &st) == 0 && st.st_dev == device && st.st_ino == inode;
}

static void add_field(struct iovec *iov, size_t *n, const char *name, const char *value) {
        char *text;

        if (!value || asprintf(&text, "%s=%s", name, value) < 0)
                return;
        iov[(*n)++] = (struct iovec){ .iov_base = text, .iov_len = strlen(text) };
}

static void send_to_journal(int priority, const char *message_id, const LogFields *fields, const char *text) {
        const char digit[] = { (char) ('0' + priority), '\0' };
        struct iovec iov[LOG_FIELDS_MAX];
        size_t n = 0;

        add_field(iov, &n, "MESSAGE", text);
        add_field(iov, &n, "PRIORITY", digit);
        add_field(iov, &n, "MESSAGE_ID", message_id);
        if (fields) {
                add_field(iov, &n, "MUSTER_APP", fields->app);
                add_field(iov, &n, "MUSTER_VERSION", fields->version);
                add_field(iov, &n, "MUSTER_DEPLOYMENT", fields->deployment);
                add_field(iov, &n, "MUSTER_EVENT", fields->event);
                add_field(iov, &n, "MUSTER_INSTANCE", fields->instance);
        }
        (void) sd_journal_sendv(iov, (int) n);
        for (size_t i = 0; i < n; i++)
                free(iov[i].iov_base);
}

void log_message(int priority, const char *message_id, const LogFields *fields, const char *format, ...) {
        int saved = errno;
        char text[LOG_TEXT_MAX];
        va_list arguments;
        size_t n = 0;

        if (priority > max_priority)
                return;
        if (fields &&
            fields->app) /* a person reads texts, not fields, and an instance may carry several apps */
                n = MIN((size_t) snprintf(text, sizeof(text), "%s: ", fields->app), sizeof(text) - 1);
        va_start(arguments, format);
        (void) vsnprintf(text + n, sizeof(text) - n, format, arguments);
        va_end(arguments);
        utf8_make_printable(text,
                            strlen(text)); /* what has an escape in it, journalctl shows as "blob data" */
        if (stderr_is_journal())
                send_to_journal(priority, message_id, fields, text);
        else
                fprintf(stderr, "%s\n", text);
        errno = saved;
}
