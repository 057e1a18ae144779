#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/app_audit.h"
#include "agent/base/file.h"
#include "agent/base/parse.h"
#include "agent/base/utf8.h"
#include "agent/installed_check.h"
#include "agent/messages.h"

#define SUBJECTS_MAX 2U /* the release that serves and the one before it */

struct AppAudit {
        AppAuditContext context;
        AppAuditDone done;
        void *userdata;
        InstalledCheck *check; /* of the first of these that is left */
        char left[SUBJECTS_MAX][STORE_NAME_SIZE];
        size_t n_left;
        InstalledFinding findings[SUBJECTS_MAX];
        size_t n;
        char way_back
                [STORE_NAME_SIZE]; /* the release that was looked at last as the way back, "" for none, */
        char obstacle[APP_AUDIT_REASON_MAX]; /* and what is in its way, "" if nothing */
};

int app_audit_new(const AppAuditContext *context, AppAuditDone done, void *userdata, AppAudit **ret) {
        AppAudit *audit = calloc(1, sizeof(*audit));

        if (!audit)
                return -ENOMEM;
        audit->context = *context;
        audit->done = done;
        audit->userdata = userdata;
        *ret = audit;
        return 0;
}

AppAudit *app_audit_free(AppAudit *audit) {
        if (!audit)
                return NULL;
        installed_check_free(audit->check);
        free(audit);
        return NULL;
}

static const InstalledFinding *find(const AppAudit *audit, const char *name) {
        for (size_t i = 0; i < audit->n; i++)
                if (strcmp(audit->findings[i].name, name) == 0)
                        return &audit->findings[i];
        return NULL;
}

/* Once for each state of things, not once for each look. */
static void log_finding(const AppAudit *audit, const InstalledFinding *finding) {
        const InstalledFinding *before = find(audit, finding->name);
        char text[APP_AUDIT_REASON_MAX], was[APP_AUDIT_REASON_MAX] = "";

        installed_describe(finding, text, sizeof(text));
        if (before)
                installed_describe(before, was, sizeof(was));
        if (strcmp(text, was) == 0)
                return;
        if (finding->state == INSTALLED_DRIFTED)
                log_message(LOG_WARNING, MESSAGE_RELEASE_DRIFTED, &audit->context.fields,
                            "release %s is not as it was published any more: %s", finding->name, text);
        else if (finding->state == INSTALLED_FAILED)
                log_message(LOG_WARNING, NULL, &audit->context.fields,
                            "release %s: it cannot be told whether it is as it was published: %s",
                            finding->name, text);
        else
                log_message(LOG_NOTICE, NULL, &audit->context.fields,
                            "release %s is as it was published again", finding->name);
}

static int name_of(const ReleaseRef *release, char ret[static STORE_NAME_SIZE]) {
        return release->version ? store_name(release->version, release->sha256, ret) : -ENOENT;
}

const InstalledFinding *app_audit_find(const AppAudit *audit, const ReleaseRef *release) {
        char name[STORE_NAME_SIZE];

        return name_of(release, name) < 0 ? NULL : find(audit, name);
}

static int find_unit_files(int folder, const Release *release, Error *error) {
        for (size_t i = 0; i < release->units.n; i++) {
                const char *file = release->units.items[i].file;
                _cleanup_close_ int fd = file ? file_open_at(folder, file, O_PATH | O_NOFOLLOW, 0) : -1;

                if (file && fd < 0)
                        return error_set_errno(error, fd, "its unit file %s", file);
        }
        return 0;
}

/* What can be seen without reading all of it. */
static int check_previous(const AppAudit *audit, const char *name, Error *error) {
        _cleanup_release_ Release *release = NULL;
        _cleanup_close_ int folder = -1;
        int r;

        r = installed_load(audit->context.store, name, NULL, &release, error);
        if (r < 0)
                return r;
        folder = store_open_release(audit->context.store, name, error);
        return folder < 0 ? folder : find_unit_files(folder, release, error);
}

static void look_back(AppAudit *audit) {
        const ReleaseRef *previous = &audit->context.record->previous;
        const InstalledFinding *finding = app_audit_find(audit, previous);
        char text[APP_AUDIT_REASON_MAX / 2];
        Error error = {};

        audit->obstacle[0] = audit->way_back[0] = '\0';
        if (name_of(previous, audit->way_back) < 0)
                return;
        if (!store_has(audit->context.store, audit->way_back)) {
                (void) snprintf(audit->obstacle, sizeof(audit->obstacle),
                                "release %s is not on the disk any more", previous->version);
        } else if (check_previous(audit, audit->way_back, &error) < 0) {
                utf8_format(audit->obstacle, sizeof(audit->obstacle), "release %s: %s", previous->version,
                            error.message);
        } else if (finding && !installed_is_complete(finding)) {
                installed_describe(finding, text, sizeof(text));
                utf8_format(audit->obstacle, sizeof(audit->obstacle),
                            "release %s is not as it was published: %s", previous->version, text);
        }
}

bool app_audit_rollback_is_ready(const AppAudit *audit, const char **ret_reason) {
        char name[STORE_NAME_SIZE];

        if (name_of(&audit->context.record->previous, name) < 0)
                *ret_reason = "there is no release before this one";
        else if (strcmp(name, audit->way_back) != 0)
                *ret_reason = "the release before this one has not been looked at yet";
        else
                *ret_reason = audit->obstacle[0] ? audit->obstacle : NULL;
        return !*ret_reason;
}

/* What is known of releases that are not looked at any more is forgotten. */
static void keep_finding(AppAudit *audit, const InstalledFinding *finding) {
        InstalledFinding *slot = NULL;

        for (size_t i = 0; i < audit->n && !slot; i++)
                if (strcmp(audit->findings[i].name, finding->name) == 0)
                        slot = &audit->findings[i];
        if (!slot && audit->n == SUBJECTS_MAX) {
                memmove(&audit->findings[0], &audit->findings[1], (SUBJECTS_MAX - 1) * sizeof(*slot));
                audit->n--;
        }
        *(slot ? slot : &audit->findings[audit->n++]) = *finding;
}

static void check_next(AppAudit *audit);

static void on_checked(_unused_ InstalledCheck *check, const InstalledFinding *finding, void *userdata) {
        AppAudit *audit = userdata;

        log_finding(audit, finding);
        keep_finding(audit, finding);
        audit->check = installed_check_free(audit->check);
        audit->n_left--;
        if (audit->n_left > 0) {
                check_next(audit);
                return;
        }
        look_back(audit);
        audit->done(audit, audit->userdata);
}

static void check_next(AppAudit *audit) {
        const char *name = audit->left[audit->n_left - 1];
        const InstalledCheckSpec spec = {
                .store = audit->context.store,
                .name = name,
                .known = find(audit, name),
                .gentle = true,
        };
        Error error = {};

        if (installed_check_start(&spec, audit->context.event, on_checked, audit, &audit->check, &error) < 0)
                log_message(LOG_WARNING, NULL, &audit->context.fields, "%s", error.message);
}

/* A release that serves is looked at even if something of it is missing in the store: that must be told. One before it may
 * have been removed long ago. */
static bool is_subject(const AppAudit *audit, const ReleaseRef *release, char name[static STORE_NAME_SIZE]) {
        return name_of(release, name) >= 0 &&
               (release == &audit->context.record->good || store_has(audit->context.store, name));
}

static void add_subject(AppAudit *audit, const ReleaseRef *release) {
        if (is_subject(audit, release, audit->left[audit->n_left]))
                audit->n_left++;
}

void app_audit_start(AppAudit *audit, bool thorough) {
        app_audit_stop(audit);
        for (size_t i = 0; i < audit->n && thorough; i++)
                audit->findings[i].has_fingerprint = false;
        audit->n_left = 0;
        add_subject(audit, &audit->context.record->previous);
        add_subject(audit, &audit->context.record->good);
        look_back(audit);
        if (audit->n_left > 0)
                check_next(audit);
}

void app_audit_stop(AppAudit *audit) {
        audit->check = installed_check_free(audit->check);
}

static json_t *finding_to_json(const InstalledFinding *finding, const char *role) {
        json_t *shown = json_array();
        char time[TIME_TEXT_MAX];

        format_time(finding->at, time);
        for (size_t i = 0; i < finding->n_shown; i++)
                (void) json_array_append_new(shown, json_string(finding->shown[i]));
        return json_pack("{s:s, s:s, s:s, s:I, s:o, s:s?, s:o}", "release", finding->name, "role", role,
                         "state", installed_state_to_string(finding->state), "differences",
                         (json_int_t) installed_differences(finding), "shown", shown, "problem",
                         finding->problem[0] ? finding->problem : NULL, "checked",
                         finding->at > 0 ? json_string(time) : json_null());
}

static int append_release(const AppAudit *audit, const ReleaseRef *release, const char *role, json_t *array) {
        const InstalledFinding *finding = app_audit_find(audit, release);
        InstalledFinding unknown = {};

        if (!is_subject(audit, release, unknown.name))
                return 0;
        return json_array_append_new(array, finding_to_json(finding ? finding : &unknown, role));
}

int app_audit_to_json(const AppAudit *audit, json_t *status) {
        const Record *record = audit->context.record;
        json_auto_t *array = json_array();
        const char *reason;
        bool ready;

        if (!array || append_release(audit, &record->good, "current", array) < 0 ||
            append_release(audit, &record->previous, "previous", array) < 0 ||
            json_object_set(status, "installed", array) < 0)
                return -ENOMEM;
        ready = app_audit_rollback_is_ready(audit, &reason);
        return json_object_set_new(status, "rollback",
                                   json_pack("{s:b, s:s?, s:s?}", "ready", ready, "version",
                                             record->previous.version, "reason", reason)) < 0
                       ? -ENOMEM
                       : 0;
}
