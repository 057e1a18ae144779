#include <string.h>

#include "agent/base/clock.h"
#include "agent/base/log.h"
#include "agent/base/parse.h"
#include "agent/base/strv.h"
#include "agent/report.h"
#include "artifacts/json.h"

#define REPORT_DELAY (200 * USEC_PER_MSEC)
#define REPORT_RETRY_FIRST (5 * USEC_PER_SEC)
#define REPORT_RETRY_MAX (300 * USEC_PER_SEC)

struct Report {
        Depot *depot;
        char *key;
        uint64_t interval;
        json_t *content;
        sd_event_source *timer;
        DepotOp *op;
        bool changed; /* since the running write began */
        uint64_t retry_delay;
        uint64_t waiting_since; /* the latest content has yet to be delivered; 0: it was */
        char problem[ERROR_MESSAGE_MAX];
};

static void write_after(Report *report, uint64_t usec) {
        (void) sd_event_source_set_time_relative(report->timer, usec);
        (void) sd_event_source_set_enabled(report->timer, SD_EVENT_ONESHOT);
}

static void try_again(Report *report, const Error *error) {
        log_debug("report: %s", error->message);
        snprintf(report->problem, sizeof(report->problem), "%s", error->message);
        write_after(report, report->retry_delay);
        report->retry_delay = MIN(report->retry_delay * 2, REPORT_RETRY_MAX);
}

static void on_written(_unused_ DepotOp *op, int result, const Error *error, void *userdata) {
        Report *report = userdata;

        if (result < 0)
                try_again(report, error);
        report->op = depot_op_free(report->op); /* and with it the error */
        if (result < 0)
                return;
        report->problem[0] = '\0';
        report->waiting_since = report->changed ? clock_realtime(&clock_system) : 0;
        report->retry_delay = REPORT_RETRY_FIRST;
        write_after(report, report->changed ? REPORT_DELAY : report->interval);
}

/* When it is said, and how long it will be until it is said again: so that who reads it knows when silence means something. */
static char *stamped_text(const Report *report) {
        _cleanup_json_ json_t *stamped = json_copy(report->content);
        char now[TIME_TEXT_MAX], interval[DURATION_TEXT_MAX];

        format_time(clock_realtime(&clock_system), now);
        format_duration(report->interval, interval);
        if (json_object_set_new(stamped, "reported", json_string(now)) < 0 ||
            json_object_set_new(stamped, "report_interval", json_string(interval)) < 0)
                return NULL;
        return json_dumps(stamped, JSON_COMPACT | JSON_SORT_KEYS);
}

static int on_timer(_unused_ sd_event_source *source, _unused_ uint64_t usec, void *userdata) {
        Report *report = userdata;
        _cleanup_free_ char *text = NULL;
        Error error = {};
        int r;

        if (report->op || !report->content)
                return 0;
        text = stamped_text(report);
        report->changed = false;
        r = text ? depot_put_start(report->depot, report->key, text, strlen(text), DEPOT_ALWAYS, NULL,
                                   on_written, report, &report->op, &error)
                 : error_oom(&error);
        if (r < 0)
                try_again(report, &error);
        return 0;
}

int report_new(sd_event *event, Depot *depot, const char *key, uint64_t interval_usec, Report **ret,
               Error *error) {
        _cleanup_(report_freep) Report *report = NULL;
        int r;

        report = malloc(sizeof(*report));
        if (!report)
                return error_oom(error);
        *report = (Report){ .depot = depot, .interval = interval_usec, .retry_delay = REPORT_RETRY_FIRST };
        if (string_set(&report->key, key) < 0)
                return error_oom(error);
        r = sd_event_add_time_relative(event, &report->timer, CLOCK_BOOTTIME, interval_usec,
                                       TIMER_ACCURACY_EXACT, on_timer, report);
        if (r < 0)
                return error_set_errno(error, r, "cannot use the event loop");
        *ret = TAKE_PTR(report);
        return 0;
}

/* A change that follows another one does not put the writing off. */
void report_set(Report *report, json_t *content) {
        if (report->content && json_equal(report->content, content)) {
                json_decref(content);
                return;
        }
        json_decref(report->content);
        report->content = content;
        if (report->waiting_since == 0)
                report->waiting_since = clock_realtime(&clock_system);
        if (!report->op && !report->changed)
                write_after(report, REPORT_DELAY);
        report->changed = true;
}

const char *report_undelivered(const Report *report, uint64_t *ret_since) {
        *ret_since = report->waiting_since;
        return report->waiting_since && report->problem[0] ? report->problem : NULL;
}

Report *report_free(Report *report) {
        if (!report)
                return NULL;
        sd_event_source_unref(report->timer);
        depot_op_free(report->op);
        json_decref(report->content);
        free(report->key);
        free(report);
        return NULL;
}
