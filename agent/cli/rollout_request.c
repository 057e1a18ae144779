#include <inttypes.h>
#include <string.h>

#include "agent/base/clock.h"
#include "agent/base/parse.h"
#include "agent/base/strv.h"
#include "agent/cli/rollout_request.h"

static int refuse(Error *error, const char *message) {
        return error_set_fault(error, -EDESTADDRREQ, FAULT_INPUT, "%s", message);
}

/* Shares and times */

static bool parse_share(const char *text, TargetShare *ret) {
        size_t n = strlen(text);
        bool percent = n > 0 && text[n - 1] == '%';
        _cleanup_free_ char *digits = strndup(text, percent ? n - 1 : n);
        uint64_t number;

        if (!digits || parse_u64(digits, &number) < 0)
                return false;
        *ret = percent ? (TargetShare){ .percent = number } : (TargetShare){ .count = number };
        return true;
}

/* What stands in WHERE is a number, but perhaps not one of a fleet. */
static int check_share(const char *where, const TargetShare *share, Error *error) {
        if (share->percent > 100)
                return error_set_fault(error, -EDESTADDRREQ, FAULT_INPUT,
                                       "%s is %" PRIu64 "%%, expected at most 100%%", where, share->percent);
        if (share->count > TARGET_COUNT_MAX)
                return error_set_fault(error, -EDESTADDRREQ, FAULT_INPUT,
                                       "%s is %" PRIu64 " instances, expected at most %" PRIu64, where,
                                       share->count, TARGET_COUNT_MAX);
        if (share->count == 0 && share->percent == 0)
                return error_set_fault(error, -EDESTADDRREQ, FAULT_INPUT, "%s is nothing, expected 1 or more",
                                       where);
        return 0;
}

int rollout_request_share(const char *name, const char *text, TargetShare *ret, Error *error) {
        TargetShare share;
        char where[80];
        int r;

        snprintf(where, sizeof(where), "--%s", name);
        if (!parse_share(text, &share))
                return error_set_fault(
                        error, -EDESTADDRREQ, FAULT_INPUT,
                        "--%s is \"%.64s\", expected a number of instances, or a share such as 25%%", name,
                        text);
        r = check_share(where, &share, error);
        if (r < 0)
                return r;
        *ret = share;
        return 0;
}

/* What would be a time if it said whose. */
static bool lacks_zone(const char *text) {
        _cleanup_free_ char *with_zone = NULL;
        uint64_t time;

        return asprintf(&with_zone, "%sZ", text) >= 0 && parse_time(with_zone, &time) >= 0;
}

int rollout_request_time(const char *name, const char *text, uint64_t *ret, Error *error) {
        if (parse_time(text, ret) >= 0)
                return 0;
        return error_set_fault(
                error, -EDESTADDRREQ, FAULT_INPUT,
                "--%s is \"%.64s\", %s 2026-11-21T20:00:00Z or 2026-11-21T21:00:00+01:00", name, text,
                lacks_zone(text) ? "without a time zone: expected" : "expected a time such as");
}

/* Stages */

static int refuse_stage(size_t number, const char *text, Error *error) {
        return error_set_fault(
                error, -EDESTADDRREQ, FAULT_INPUT,
                "--stages: stage %zu is \"%.64s\", expected a number of instances or a share, and perhaps how long it "
                "bakes: 1:10m or 25%%",
                number, text);
}

static int parse_stage(size_t number, const char *text, TargetStage *ret, Error *error) {
        const char *colon = strchr(text, ':');
        _cleanup_free_ char *share = strndup(text, colon ? (size_t) (colon - text) : strlen(text));
        TargetStage stage = {};
        char where[80];

        if (!share)
                return error_oom(error);
        if (!parse_share(share, &stage.share) || (colon && parse_duration(colon + 1, &stage.bake) < 0))
                return refuse_stage(number, text, error);
        snprintf(where, sizeof(where), "--stages: stage %zu", number);
        if (stage.bake > TARGET_BAKE_MAX)
                return error_set_fault(error, -EDESTADDRREQ, FAULT_INPUT,
                                       "%s bakes for %.64s, expected at most 30d", where, colon + 1);
        *ret = stage;
        return check_share(where, &ret->share, error);
}

/* Among themselves counts and shares may only grow; how one compares with the other depends on the fleet. */
static int check_grows(size_t number, const char *text, const TargetShare *share, TargetShare *last,
                       Error *error) {
        if ((share->count > 0 && share->count <= last->count) ||
            (share->percent > 0 && share->percent <= last->percent) || last->percent == 100)
                return error_set_fault(error, -EDESTADDRREQ, FAULT_INPUT,
                                       "--stages: stage %zu (%.64s) is not more than a stage before it",
                                       number, text);
        last->count = MAX(last->count, share->count);
        last->percent = MAX(last->percent, share->percent);
        return 0;
}

static json_t *stage_to_json(const TargetStage *stage) {
        char bake[DURATION_TEXT_MAX];

        format_duration(stage->bake, bake);
        return json_pack("{s:I, s:s*}", stage->share.count > 0 ? "count" : "percent",
                         (json_int_t) (stage->share.count ?: stage->share.percent), "bake",
                         stage->bake > 0 ? bake : NULL);
}

static int stages_to_json(const char *text, json_t **ret, Error *error) {
        _cleanup_strv_ char **words = NULL;
        json_auto_t *stages = json_array();
        TargetShare last = {};
        size_t number = 0;
        int r;

        r = strv_split(text, ", ", &words);
        if (r < 0)
                return error_oom(error);
        STRV_FOREACH(word, words) {
                TargetStage stage = {};

                r = parse_stage(++number, *word, &stage, error);
                if (r >= 0)
                        r = check_grows(number, *word, &stage.share, &last, error);
                if (r < 0)
                        return r;
                if (json_array_append_new(stages, stage_to_json(&stage)) < 0)
                        return error_oom(error);
        }
        if (last.percent != 100)
                return refuse(
                        error,
                        "--stages: expected the last stage to be 100%, so that all instances get there");
        if (number > TARGET_STAGES_MAX)
                return refuse(error, "--stages: expected at most 32 stages");
        *ret = TAKE_PTR(stages);
        return 0;
}

/* The rollout */

static json_t *duration_to_json(const OptionNumber *number) {
        char text[DURATION_TEXT_MAX];

        if (!number->given)
                return NULL;
        format_duration(number->value, text);
        return json_string(text);
}

static int list_to_json(char *const *texts, json_t **ret) {
        json_auto_t *list = json_array();

        STRV_FOREACH(text, texts)
                if (json_array_append_new(list, json_string(*text)) < 0)
                        return -ENOMEM;
        *ret = texts ? TAKE_PTR(list) : NULL;
        return 0;
}

static int check_promote(const char *text, Error *error) {
        if (!text || strcmp(text, "auto") == 0 || strcmp(text, "manual") == 0)
                return 0;
        return error_set_fault(error, -EDESTADDRREQ, FAULT_INPUT,
                               "--promote is \"%.64s\", expected auto or manual", text);
}

static json_t *durations_to_json(const RolloutRequest *request) {
        return json_pack("{s:o*, s:o*}", "min_healthy_time", duration_to_json(&request->min_healthy_time),
                         "progress_deadline", duration_to_json(&request->progress_deadline));
}

static int add_lists(json_t *rollout, const RolloutRequest *request) {
        json_t *canaries, *alarms;

        if (list_to_json(request->canaries, &canaries) < 0 ||
            (canaries && json_object_set_new(rollout, "canaries", canaries) < 0) ||
            list_to_json(request->alarms, &alarms) < 0 ||
            (alarms && json_object_set_new(rollout, "alarms", alarms) < 0))
                return -ENOMEM;
        return 0;
}

int rollout_request_to_json(const RolloutRequest *request, const char *id, uint64_t now, json_t **ret,
                            Error *error) {
        json_auto_t *rollout = NULL, *durations = NULL;
        char not_before[TIME_TEXT_MAX];
        json_t *stages = NULL;
        int r = check_promote(request->promote, error);

        if (r >= 0 && request->not_before)
                r = rollout_request_time("not-before", request->not_before, &now, error);
        if (r >= 0)
                r = stages_to_json(request->stages, &stages, error);
        if (r < 0)
                return r;
        format_time(now, not_before);
        rollout = json_pack("{s:s, s:s, s:o, s:I, s:s*}", "id", id, "not_before", not_before, "stages",
                            stages, "max_failures", (json_int_t) request->max_failures.value, "promote",
                            request->promote);
        durations = durations_to_json(request);
        if (!rollout || !durations || json_object_update(rollout, durations) < 0 ||
            add_lists(rollout, request) < 0)
                return error_oom(error);
        *ret = TAKE_PTR(rollout);
        return 0;
}

void rollout_request_id(uint64_t now, unsigned number, char ret[static ROLLOUT_REQUEST_ID_MAX]) {
        char time[TIME_TEXT_MAX];

        format_time(now, time);
        snprintf(ret, ROLLOUT_REQUEST_ID_MAX, "r-%.4s%.2s%.2s-%u", time, time + 5, time + 8, number);
}
