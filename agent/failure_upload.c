#include <string.h>

#include "agent/base/clock.h"
#include "agent/base/log.h"
#include "agent/base/parse.h"
#include "agent/base/strv.h"
#include "agent/failure_upload.h"
#include "agent/launch_storm.h"
#include "agent/messages.h"
#include "artifacts/layout.h"

typedef struct Item {
        char *app;
        char *version;
        char *text;
        char key[LAYOUT_KEY_MAX];
        char prefix[LAYOUT_KEY_MAX]; /* of all that failed with the same release */
} Item;

struct FailureUpload {
        Depot *depot;
        char *report_id;
        uint64_t limit, window, patience;
        Item items[CONFIG_APPS_MAX];
        size_t n;
        size_t index; /* of the one that is written, then counted */
        bool counting;
        bool hold;
        char remark[ERROR_MESSAGE_MAX];
        FailureUploadDone done;
        void *userdata;
        DepotOp *op;
        sd_event_source *timer;    /* begins the next request */
        sd_event_source *deadline; /* ends it all */
};

static void go_on_after(FailureUpload *upload, uint64_t usec) {
        (void) sd_event_source_set_time_relative(upload->timer, usec);
        (void) sd_event_source_set_enabled(upload->timer, SD_EVENT_ONESHOT);
}

static void finish(FailureUpload *upload) {
        upload->op = depot_op_free(upload->op);
        (void) sd_event_source_set_enabled(upload->timer, SD_EVENT_OFF);
        (void) sd_event_source_set_enabled(upload->deadline, SD_EVENT_OFF);
        upload->done(upload, upload->hold, upload->userdata);
}

static void try_again(FailureUpload *upload, const Error *error) {
        snprintf(upload->remark, sizeof(upload->remark), "%s", error->message);
        upload->op = depot_op_free(upload->op);
        go_on_after(upload, FAILURE_UPLOAD_RETRY);
}

/* Those that failed with the same release; texts in NAMES. */
static size_t read_list(const DepotReply *reply, const char *prefix, LaunchFailureSeen *seen, char **names) {
        size_t n = 0;

        for (size_t i = 0; i < reply->n_entries; i++) {
                char name[LAYOUT_KEY_MAX];

                if (layout_document_name(reply->entries[i].key, prefix, name) < 0)
                        continue;
                names[n] = strdup(name);
                if (!names[n])
                        break;
                seen[n] = (LaunchFailureSeen){ names[n], reply->entries[i].modified };
                n++;
        }
        return n;
}

static int count(FailureUpload *upload, const DepotReply *reply, size_t *ret_rank) {
        _cleanup_free_ LaunchFailureSeen *seen = calloc(reply->n_entries + 1, sizeof(*seen));
        _cleanup_strv_ char **names = calloc(reply->n_entries + 1, sizeof(*names));
        uint64_t now = reply->server_time > 0 ? reply->server_time : clock_realtime(&clock_system);
        size_t n;

        if (!seen || !names)
                return -ENOMEM;
        n = read_list(reply, upload->items[upload->index].prefix, seen, names);
        *ret_rank = launch_storm_rank(seen, n, upload->report_id, now, upload->window);
        return 0;
}

static void on_listed(DepotOp *op, int result, const Error *error, void *userdata) {
        FailureUpload *upload = userdata;
        const Item *item = &upload->items[upload->index];
        char window[DURATION_TEXT_MAX];
        Error problem = {};
        size_t rank = 0;

        if (result < 0 || count(upload, depot_op_reply(op), &rank) < 0) {
                if (result >= 0)
                        (void) error_oom(&problem);
                try_again(upload, result < 0 ? error : &problem);
                return;
        }
        upload->op = depot_op_free(upload->op);
        if (launch_storm_holds(rank, upload->limit)) {
                upload->hold = true;
                format_duration(upload->window, window);
                snprintf(
                        upload->remark, sizeof(upload->remark),
                        "%zu other instances failed with release %s of %s within %s, and replacing one more would not help",
                        rank, item->version, item->app, window);
        }
        upload->counting = false;
        if (++upload->index == upload->n)
                finish(upload);
        else
                go_on_after(upload, 0);
}

static void on_written(_unused_ DepotOp *op, int result, const Error *error, void *userdata) {
        FailureUpload *upload = userdata;

        if (result < 0) {
                try_again(upload, error);
                return;
        }
        upload->op = depot_op_free(upload->op);
        log_message(LOG_NOTICE, MESSAGE_LAUNCH_FAILURE_KEPT, NULL, "why the launch failed is kept in %s/%s",
                    depot_uri(upload->depot), upload->items[upload->index].key);
        upload->counting = true;
        go_on_after(upload, 0);
}

static int on_timer(_unused_ sd_event_source *source, _unused_ uint64_t usec, void *userdata) {
        FailureUpload *upload = userdata;
        const Item *item = &upload->items[upload->index];
        Error error = {};
        int r;

        if (upload->counting)
                r = depot_list_start(upload->depot, item->prefix, on_listed, upload, &upload->op, &error);
        else
                r = depot_put_start(upload->depot, item->key, item->text, strlen(item->text), DEPOT_ALWAYS,
                                    NULL, on_written, upload, &upload->op, &error);
        if (r < 0)
                try_again(upload, &error);
        return 0;
}

static int on_deadline(_unused_ sd_event_source *source, _unused_ uint64_t usec, void *userdata) {
        FailureUpload *upload = userdata;
        char limit[DURATION_TEXT_MAX];

        format_duration(upload->patience, limit);
        log_message(LOG_ERR, MESSAGE_LAUNCH_FAILURE_KEPT, NULL,
                    "the depot could not be told within %s why the launch failed: %s", limit,
                    upload->remark[0] ? upload->remark : "it does not answer");
        finish(upload);
        return 0;
}

static int take_note(FailureUpload *upload, FailureNote *note, Error *error) {
        Item *item = &upload->items[upload->n++];
        int r;

        item->text = TAKE_PTR(note->text);
        r = layout_failure(note->app, note->group, note->release_sha256, upload->report_id, item->key, error);
        if (r >= 0)
                r = layout_failures_of_release(note->app, note->group, note->release_sha256, item->prefix,
                                               error);
        if (r < 0)
                return r;
        return string_set(&item->app, note->app) < 0 || string_set(&item->version, note->version) < 0
                       ? error_oom(error)
                       : 0;
}

static int add_timers(FailureUpload *upload, sd_event *event, Error *error) {
        int r;

        r = sd_event_add_time_relative(event, &upload->timer, CLOCK_BOOTTIME, 0, TIMER_ACCURACY_EXACT,
                                       on_timer, upload);
        if (r >= 0)
                r = sd_event_add_time_relative(event, &upload->deadline, CLOCK_BOOTTIME, upload->patience,
                                               TIMER_ACCURACY_EXACT, on_deadline, upload);
        return r < 0 ? error_set_errno(error, r, "cannot use the event loop") : 0;
}

int failure_upload_start(const FailureUploadSpec *spec, FailureNote *notes, size_t n, FailureUploadDone done,
                         void *userdata, FailureUpload **ret, Error *error) {
        _cleanup_(failure_upload_freep) FailureUpload *upload = NULL;
        int r = 0;

        upload = calloc(1, sizeof(*upload));
        if (upload) {
                upload->depot = spec->depot;
                upload->limit = spec->limit;
                upload->window = spec->window;
                upload->patience = spec->patience > 0 ? spec->patience : FAILURE_UPLOAD_MAX;
                upload->done = done;
                upload->userdata = userdata;
        }
        if (!upload || string_set(&upload->report_id, spec->report_id) < 0)
                r = error_oom(error);
        for (size_t i = 0; i < n && r >= 0; i++)
                r = take_note(upload, &notes[i], error);
        for (size_t i = 0; i < n; i++)
                free(TAKE_PTR(notes[i].text));
        if (r >= 0 && n == 0)
                r = error_set(error, -EINVAL, "no app has failed");
        if (r >= 0)
                r = add_timers(upload, spec->event, error);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(upload);
        return 0;
}

FailureUpload *failure_upload_free(FailureUpload *upload) {
        if (!upload)
                return NULL;
        sd_event_source_unref(upload->timer);
        sd_event_source_unref(upload->deadline);
        depot_op_free(upload->op);
        for (size_t i = 0; i < upload->n; i++) {
                free(upload->items[i].app);
                free(upload->items[i].version);
                free(upload->items[i].text);
        }
        free(upload->report_id);
        free(upload);
        return NULL;
}

const char *failure_upload_remark(const FailureUpload *upload) {
        return upload->remark;
}
