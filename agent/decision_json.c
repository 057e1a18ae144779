#include <string.h>

#include "agent/decision_json.h"
#include "agent/deployment_json.h"

static json_t *what_was_asked(const DecisionFacts *facts) {
        if (!facts->target_known)
                return json_null();
        return json_pack("{s:I, s:s, s:o, s:b, s:s*, s:o, s:b, s:s*}", "serial",
                         (json_int_t) facts->target_serial, "sha256",
                         facts->target_sha256 ? facts->target_sha256 : "", "wanted",
                         release_ref_to_json(&facts->wanted), "candidate", facts->candidate, "held",
                         facts->held, "ahead", release_ref_to_json(&facts->ahead), "pinned", facts->pinned,
                         "rollout", facts->rollout);
}

static json_t *checks_to_json(const FailedChecks *checks) {
        if (!checks || checks->count == 0)
                return json_null();
        return json_pack("{s:I, s:o, s:s}", "count", (json_int_t) checks->count, "at",
                         time_to_json(checks->at), "reason", checks->reason);
}

static json_t *decision_to_json(const Decision *decision) {
        return json_pack("{s:s, s:s, s:b, s:b}", "action", decision_action_to_string(decision->action),
                         "reason", decision->reason, "env_changed", decision->env_changed, "local_pin",
                         decision->local_pin);
}

/* Of the deployment before only its outcome counts; what it went through is its own entry of the history. */
static int record_without_the_past(const Record *record, json_t **ret) {
        json_auto_t *json = NULL;
        json_t *deployment;
        int r;

        r = record_to_json(record, true, &json);
        if (r < 0)
                return r;
        deployment = json_object_get(json, "deployment");
        if (json_is_object(deployment) && (json_object_set_new(deployment, "steps", json_array()) < 0 ||
                                           json_object_set_new(deployment, "events", json_array()) < 0 ||
                                           json_object_set_new(deployment, "facts", json_null()) < 0))
                return -ENOMEM;
        *ret = TAKE_PTR(json);
        return 0;
}

int decision_to_text(const DecisionFacts *facts, const Decision *decision, char **ret) {
        json_auto_t *json = NULL;
        json_t *record;
        int r;

        r = record_without_the_past(facts->record, &record);
        if (r < 0)
                return r;
        json = json_pack("{s:o, s:o, s:s*, s:s, s:s*, s:s, s:s*, s:s*, s:o, s:o, s:o}", "record", record,
                         "target", what_was_asked(facts), "instance", facts->instance, "posture",
                         life_posture_to_string(facts->posture), "life", facts->life, "env_sha256",
                         facts->env_sha256, "no_target", facts->no_target, "boot_id", facts->boot_id,
                         "checks", checks_to_json(facts->checks), "now", time_to_json(facts->now), "decision",
                         decision_to_json(decision));
        *ret = json ? json_dumps(json, JSON_COMPACT) : NULL;
        return *ret ? 0 : -ENOMEM;
}

void decision_case_deinit(DecisionCase *decision_case) {
        record_deinit(&decision_case->record);
        release_ref_deinit(&decision_case->facts.wanted);
        release_ref_deinit(&decision_case->facts.ahead);
        json_decref(decision_case->json);
        *decision_case = (DecisionCase){};
}

static int action_from_string(const char *text, DecisionAction *ret) {
        for (DecisionAction action = 0; action < DECISION_ACTIONS; action++)
                if (strcmp(decision_action_to_string(action), text) == 0) {
                        *ret = action;
                        return 0;
                }
        return -EINVAL;
}

static int read_target(json_t *json, DecisionFacts *facts) {
        json_int_t serial;
        json_t *wanted = NULL, *ahead = NULL;
        int pinned, candidate = 0;

        if (json_is_null(json))
                return 0;
        if (json_unpack(json, "{s:I, s:s, s?o, s?o, s?b, s?s, s?o, s:b, s?s}", "serial", &serial, "sha256",
                        &facts->target_sha256, "stable",
                        &wanted, /* as it was called before there were rollouts */
                        "wanted", &wanted, "candidate", &candidate, "held", &facts->held, "ahead", &ahead,
                        "pinned", &pinned, "rollout", &facts->rollout) < 0 ||
            !wanted || release_ref_from_json(wanted, &facts->wanted) < 0 ||
            (ahead && release_ref_from_json(ahead, &facts->ahead) < 0))
                return -EINVAL;
        facts->candidate = candidate;
        facts->target_known = true;
        facts->target_serial = (uint64_t) serial;
        facts->pinned = pinned;
        return 0;
}

static int read_checks(json_t *json, FailedChecks *ret) {
        const char *reason;
        json_int_t count;
        json_t *at;

        if (json_is_null(json))
                return 0;
        if (json_unpack(json, "{s:I, s:o, s:s}", "count", &count, "at", &at, "reason", &reason) < 0 ||
            time_from_json(at, &ret->at) < 0)
                return -EINVAL;
        ret->count = (unsigned) count;
        snprintf(ret->reason, sizeof(ret->reason), "%s", reason);
        return 0;
}

static int read_decision(json_t *json, Decision *ret) {
        const char *action, *reason;
        int env_changed, local_pin;

        if (json_unpack(json, "{s:s, s:s, s:b, s:b}", "action", &action, "reason", &reason, "env_changed",
                        &env_changed, "local_pin", &local_pin) < 0 ||
            action_from_string(action, &ret->action) < 0)
                return -EINVAL;
        snprintf(ret->reason, sizeof(ret->reason), "%s", reason);
        ret->env_changed = env_changed;
        ret->local_pin = local_pin;
        return 0;
}

static int read_case(DecisionCase *ret, Error *error) {
        json_t *record, *target, *checks, *now, *decision;
        DecisionFacts *facts = &ret->facts;
        const char *posture = "serve"; /* nothing else was known before */

        if (json_unpack(ret->json, "{s:o, s:o, s?s, s?s, s?s, s:s, s?s, s?s, s:o, s:o, s:o}", "record",
                        &record, "target", &target, "instance", &facts->instance, "posture", &posture, "life",
                        &facts->life, "env_sha256", &facts->env_sha256, "no_target", &facts->no_target,
                        "boot_id", &facts->boot_id, "checks", &checks, "now", &now, "decision",
                        &decision) < 0 ||
            read_target(target, facts) < 0 || read_checks(checks, &ret->checks) < 0 ||
            life_posture_from_string(posture, &facts->posture) < 0 || time_from_json(now, &facts->now) < 0 ||
            read_decision(decision, &ret->decision) < 0)
                return error_set(error, -EINVAL, "the facts of the decision are malformed");
        facts->record = &ret->record;
        facts->checks = &ret->checks;
        return record_from_json(record, &ret->record, error);
}

int decision_case_parse(const char *text, DecisionCase *ret, Error *error) {
        int r;

        *ret = (DecisionCase){ .json = json_loads(text, JSON_REJECT_DUPLICATES, NULL) };
        r = read_case(ret, error);
        if (r < 0)
                decision_case_deinit(ret);
        return r;
}
