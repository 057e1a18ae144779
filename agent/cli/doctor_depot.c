#include <inttypes.h>
#include <string.h>

#include "agent/base/strv.h"
#include "agent/cli/doctor_checks.h"
#include "agent/net/s3.h"
#include "artifacts/depot.h"
#include "artifacts/layout.h"

#define CLOCK_GOOD (60 * USEC_PER_SEC)
#define CLOCK_BAD (15 * 60 * USEC_PER_SEC)
#define NO_SUCH_ETAG "\"muster-doctor\""
#define ARN_TEXT_MAX 1600U
#define OWN_REPORT "instances/${aws:userid}.json"

typedef struct Look {
        Doctor *doctor;
        const char *bucket;
        const char *prefix; /* "" or ends with a slash */
        bool lists;         /* so that what is missing is told from what is forbidden */
} Look;

static void on_s3(_unused_ S3Request *request, int result, const Error *error, void *userdata) {
        doctor_done(userdata, result, error);
}

static int on_object(_unused_ const S3Object *object, _unused_ void *userdata) {
        return 0;
}

/* The time of S3's answer, which is the one that expiry and leases are held against. */
static void check_clock(const Look *look, uint64_t server_time) {
        uint64_t now = clock_realtime(look->doctor->report->cli->clock);
        uint64_t apart = now > server_time ? now - server_time : server_time - now;
        const char *side = now > server_time ? "ahead of" : "behind";

        if (server_time == 0)
                doctor_say(look->doctor->report, DOCTOR_NOT_TRIED, "clock", NULL, "S3's answer had no date");
        else if (apart < CLOCK_GOOD)
                doctor_say(look->doctor->report, DOCTOR_OK, "clock", NULL, "less than a minute from S3's");
        else
                doctor_say(
                        look->doctor->report, apart < CLOCK_BAD ? DOCTOR_WARNING : DOCTOR_FAILED, "clock",
                        "set it, with chrony or systemd-timesyncd: requests are corrected for it, expiry dates are not",
                        "%" PRIu64 " s %s S3's", apart / USEC_PER_SEC, side);
}

/* -EACCES is a permission; anything else is trouble on the way there. */
static void check_list(Look *look) {
        const S3ListOptions options = { .prefix = look->prefix, .keys_max = 1, .page_size = 1 };
        _cleanup_(s3_request_freep) S3Request *request = NULL;
        Doctor *doctor = look->doctor;
        char advice[ARN_TEXT_MAX];
        int r;

        r = doctor_wait(doctor, s3_list_start(doctor->aws, look->bucket, &options, on_object, on_s3, doctor,
                                              &request, &doctor->error));
        look->lists = r == S3_OK;
        snprintf(advice, sizeof(advice),
                 "allow s3:ListBucket on arn:aws:s3:::%s: without it a missing object is a 403",
                 look->bucket);
        if (r == S3_OK)
                doctor_say(doctor->report, DOCTOR_OK, "s3:ListBucket", NULL, "s3://%s", look->bucket);
        else
                doctor_say(doctor->report, DOCTOR_FAILED, "s3:ListBucket", r == -EACCES ? advice : NULL, "%s",
                           r < 0 ? doctor->error.message : "an answer that does not fit");
        if (request)
                check_clock(look, s3_request_reply(request).server_time);
}

/* Reads KEY of the depot, which need not be there. Returns what came of it; REQUEST is the caller's. */
static int get(const Look *look, const char *key, S3Request **request) {
        Doctor *doctor = look->doctor;
        char whole[S3_KEY_MAX + 1];

        if ((size_t) snprintf(whole, sizeof(whole), "%s%s", look->prefix, key) >= sizeof(whole))
                return error_set(&doctor->error, -ENAMETOOLONG, "a key of the depot is too long");
        return doctor_wait(doctor, s3_get_start(doctor->aws, look->bucket, whole, NULL, on_s3, doctor,
                                                request, &doctor->error));
}

/* Whether KEY could be read, if it were there; what stands in the way is said. FOLDER is what the advice is about. */
static bool may_read(const Look *look, const char *key, const char *folder) {
        _cleanup_(s3_request_freep) S3Request *request = NULL;
        char advice[ARN_TEXT_MAX];
        int r;

        r = get(look, key, &request);
        if (r >= 0)
                return true;
        snprintf(advice, sizeof(advice), "allow s3:GetObject on arn:aws:s3:::%s/%s%s/*%s", look->bucket,
                 look->prefix, folder,
                 strstr(look->doctor->error.message, "kms:") ? ", and kms:Decrypt for its key" : "");
        doctor_say(look->doctor->report, DOCTOR_FAILED, "s3:GetObject", r == -EACCES ? advice : NULL, "%s",
                   look->doctor->error.message);
        return false;
}

static void check_root(const Look *look) {
        if (may_read(look, "root/1.json", "root"))
                doctor_say(look->doctor->report, DOCTOR_OK, "s3:GetObject", NULL, "%sroot/*", look->prefix);
}

static const char *group_of(const Doctor *doctor, const AppConfig *app) {
        return app->group ? app->group : doctor->identity.group;
}

static void check_reads(const Look *look, const AppConfig *app) {
        char target[LAYOUT_KEY_MAX], release[LAYOUT_KEY_MAX], artifact[LAYOUT_KEY_MAX],
                folder[LAYOUT_KEY_MAX];
        Error error = {};

        if (layout_target(app->name, group_of(look->doctor, app), target, &error) < 0 ||
            layout_release(app->name, "0", release, &error) < 0) {
                doctor_say(look->doctor->report, DOCTOR_FAILED, "s3:GetObject", NULL, "%s", error.message);
                return;
        }
        snprintf(artifact, sizeof(artifact), "apps/%s/artifacts/0", app->name);
        snprintf(folder, sizeof(folder), "apps/%s", app->name);
        if (may_read(look, target, folder) && may_read(look, release, folder) &&
            may_read(look, artifact, folder))
                doctor_say(look->doctor->report, DOCTOR_OK, "s3:GetObject", NULL, "%s%s/*", look->prefix,
                           folder);
}

/* WHAT was to be written, at WHERE below the group. */
static void judge_put(const Look *look, int r, const char *app, const char *what, const char *where) {
        DoctorReport *report = look->doctor->report;
        char advice[ARN_TEXT_MAX];

        snprintf(advice, sizeof(advice), "allow s3:PutObject on arn:aws:s3:::%s/%sapps/%s/groups/*/%s",
                 look->bucket, look->prefix, app, where);
        if (r == S3_PRECONDITION_FAILED || r == S3_NOT_FOUND || r == S3_CONFLICT)
                doctor_say(report, DOCTOR_OK, "s3:PutObject", NULL, "%s of %s; nothing was written", what,
                           app);
        else if (r == S3_OK)
                doctor_say(report, DOCTOR_FAILED, "s3:PutObject",
                           "a depot needs an S3 with If-None-Match and If-Match",
                           "the endpoint wrote although the condition did not hold");
        else
                doctor_say(report, DOCTOR_FAILED, "s3:PutObject", r == -EACCES ? advice : NULL, "%s",
                           r < 0 ? look->doctor->error.message : "an answer that does not fit");
}

/* A write that must not happen: of what is there already, where nothing is to be there; or over what is not there. */
static int put_in_vain(const Look *look, const char *key, const S3Reply *present) {
        Doctor *doctor = look->doctor;
        _cleanup_(s3_request_freep) S3Request *request = NULL;
        char whole[S3_KEY_MAX + 1];
        const S3PutOptions options = {
                .body = { .data = present ? present->body : "{}", .size = present ? present->body_size : 2 },
                .if_none_match = present,
                .if_match = present ? NULL : NO_SUCH_ETAG,
                .content_type = "application/json",
        };

        snprintf(whole, sizeof(whole), "%s%s", look->prefix, key);
        return doctor_wait(doctor, s3_put_start(doctor->aws, look->bucket, whole, &options, on_s3, doctor,
                                                &request, &doctor->error));
}

/* With an endpoint of one's own it is not known whether it heeds conditions, so nothing is risked that is not there. */
static bool heeds_conditions(const Doctor *doctor) {
        return !aws_context_endpoints(doctor->aws)->urls[AWS_S3];
}

static void check_report(const Look *look, const AppConfig *app) {
        static const char what[] = "its own report";
        _cleanup_(s3_request_freep) S3Request *request = NULL;
        Doctor *doctor = look->doctor;
        char key[LAYOUT_KEY_MAX];
        S3Reply present;
        int r;

        r = layout_instance(app->name, group_of(doctor, app), doctor->identity.report_id, key,
                            &doctor->error);
        if (r >= 0)
                r = get(look, key, &request);
        if (r == S3_OK) {
                present = s3_request_reply(request);
                judge_put(look, put_in_vain(look, key, &present), app->name, what, OWN_REPORT);
        } else if (r == S3_NOT_FOUND && heeds_conditions(doctor))
                judge_put(look, put_in_vain(look, key, NULL), app->name, what, OWN_REPORT);
        else
                doctor_say(
                        doctor->report, DOCTOR_NOT_TRIED, "s3:PutObject", NULL, "%s",
                        r < 0 ? doctor->error.message
                              : "there is no report yet; musterd writes it as soon as it looks after the app");
}

/* Why its launch failed, of a release that nobody has. */
static void check_failure(const Look *look, const AppConfig *app) {
        static const char nobodys[] = "0000000000000000000000000000000000000000000000000000000000000000";
        Doctor *doctor = look->doctor;
        char key[LAYOUT_KEY_MAX];

        if (heeds_conditions(doctor) && layout_failure(app->name, group_of(doctor, app), nobodys,
                                                       doctor->identity.report_id, key, NULL) >= 0)
                judge_put(look, put_in_vain(look, key, NULL), app->name, "what a failed launch tells",
                          "failures/*/${aws:userid}.json");
}

/* The register of a rollout that nobody has. */
static void check_rollout(const Look *look, const AppConfig *app) {
        char key[LAYOUT_KEY_MAX];

        if (heeds_conditions(look->doctor) &&
            layout_rollout(app->name, group_of(look->doctor, app), "muster-doctor", key, NULL) >= 0)
                judge_put(look, put_in_vain(look, key, NULL), app->name, "the registers of rollouts",
                          "rollouts/*.json");
}

static void check_s3(Doctor *doctor, const char *address) {
        const char *slash = strchrnul(address, '/'), *rest = *slash ? slash + 1 : slash;
        _cleanup_free_ char *bucket = strndup(address, (size_t) (slash - address)), *prefix = NULL;
        size_t n = strlen(rest);

        while (n > 0 && rest[n - 1] == '/')
                n--;
        if (!bucket || asprintf(&prefix, "%.*s%s", (int) n, rest, n > 0 ? "/" : "") < 0) {
                prefix = NULL;
                return;
        }
        Look look = { .doctor = doctor, .bucket = bucket, .prefix = prefix };
        check_list(&look);
        check_root(&look);
        for (size_t i = 0; i < doctor->config->n_apps && doctor->knows_identity; i++) {
                check_reads(&look, &doctor->config->apps[i]);
                check_report(&look, &doctor->config->apps[i]);
                check_failure(&look, &doctor->config->apps[i]);
                check_rollout(&look, &doctor->config->apps[i]);
        }
}

/* A folder: whether it can be looked through. */
static void check_folder(Doctor *doctor, const char *uri) {
        const DepotOptions options = { .event = doctor->event };
        _cleanup_depot_reply_ DepotReply reply = {};
        _cleanup_(depot_freep) Depot *depot = NULL;
        DepotOp *op;
        int r;

        r = depot_open(uri, &options, &depot, &doctor->error);
        if (r >= 0)
                r = depot_list_start(depot, LAYOUT_ROOTS, NULL, NULL, &op, &doctor->error);
        if (r >= 0)
                r = depot_wait(op, &reply, &doctor->error);
        if (r < 0)
                doctor_say(doctor->report, DOCTOR_FAILED, "depot", "make the folder, readable by root", "%s",
                           doctor->error.message);
        else
                doctor_say(doctor->report, DOCTOR_OK, "depot", NULL, "%s", uri);
}

void doctor_check_depot(Doctor *doctor) {
        const char *uri = doctor->config->depot;

        if (!uri)
                return;
        if (!string_starts_with(uri, "s3://"))
                check_folder(doctor, uri);
        else if (doctor->aws)
                check_s3(doctor, uri + strlen("s3://"));
}
