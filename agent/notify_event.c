#include <inttypes.h>
#include <jansson.h>
#include <string.h>

#include "agent/base/buffer.h"
#include "agent/base/clock.h"
#include "agent/base/parse.h"
#include "agent/base/strv.h"
#include "agent/notify_event.h"
#include "artifacts/json.h"

NotifyKind notify_kind_of(const Register *reg, uint64_t *ret_at) {
        bool over = reg->state == REGISTER_ABORTED || reg->state == REGISTER_COMPLETE;

        *ret_at = over ? reg->written : reg->opened;
        if (over)
                return reg->state == REGISTER_ABORTED ? NOTIFY_ABORTED : NOTIFY_COMPLETE;
        return reg->stage > 0 ? NOTIFY_STAGE : NOTIFY_STARTED;
}

static const char *kind_to_string(NotifyKind kind) {
        static const char *const names[NOTIFY_KINDS] = {
                [NOTIFY_STARTED] = "started",   [NOTIFY_STAGE] = "stage", [NOTIFY_ABORTED] = "aborted",
                [NOTIFY_COMPLETE] = "complete", [NOTIFY_HELD] = "held",
        };

        return names[kind];
}

void notify_name(const NotifyFacts *facts, char ret[static NOTIFY_NAME_MAX]) {
        if (facts->kind == NOTIFY_STAGE)
                snprintf(ret, NOTIFY_NAME_MAX, "stage-%" PRIu64, facts->reg->stage + 1);
        else
                snprintf(ret, NOTIFY_NAME_MAX, "%s", kind_to_string(facts->kind));
}

void notify_id(const NotifyFacts *facts, char ret[static NOTIFY_ID_MAX]) {
        char name[NOTIFY_NAME_MAX];

        notify_name(facts, name);
        snprintf(ret, NOTIFY_ID_MAX, "%s/%s/%s/%s", facts->app, facts->group, facts->plan->id, name);
}

/* Text */

static const char *reason_of(const NotifyFacts *facts) {
        if (facts->reason || !facts->reg)
                return facts->reason;
        return facts->reg->reason;
}

/* "25 of 100 instances", "all 100 instances" or "the only instance". */
static int add_share(Buffer *text, const NotifyFacts *facts) {
        uint64_t allowed = register_allowed(facts->reg, facts->plan);

        if (facts->reg->fleet == 1)
                return buffer_printf(text, "the only instance");
        if (allowed >= facts->reg->fleet)
                return buffer_printf(text, "all %" PRIu64 " instances", facts->reg->fleet);
        return buffer_printf(text, "%" PRIu64 " of %" PRIu64 " instances", allowed, facts->reg->fleet);
}

static int add_stage(Buffer *text, const NotifyFacts *facts) {
        return buffer_printf(text, "stage %" PRIu64 " of %zu", facts->reg->stage + 1, facts->plan->n_stages);
}

static int add_start(Buffer *text, const NotifyFacts *facts) {
        const Target *target = facts->plan->target;
        int r;

        if (!facts->plan->staged && target->pinned)
                return buffer_printf(text, "pinned to %s: %s", facts->plan->to->version,
                                     target->reason ?: "no reason was given");
        if (!facts->plan->staged)
                return buffer_printf(text, "goes to %s (serial %" PRIu64 ")", facts->plan->to->version,
                                     target->serial);
        r = buffer_printf(text, "rollout %s from %s to %s begins: ", facts->plan->id, target->stable.version,
                          facts->plan->to->version);
        if (r >= 0)
                r = add_stage(text, facts);
        if (r >= 0)
                r = buffer_printf(text, ", ");
        return r < 0 ? r : add_share(text, facts);
}

static int add_next_stage(Buffer *text, const NotifyFacts *facts) {
        int r;

        r = buffer_printf(text, "rollout %s to %s: ", facts->plan->id, facts->plan->to->version);
        if (r >= 0)
                r = add_stage(text, facts);
        if (r >= 0)
                r = buffer_printf(text, " begins, ");
        return r < 0 ? r : add_share(text, facts);
}

static int add_abort(Buffer *text, const NotifyFacts *facts) {
        const char *reason = reason_of(facts);
        int r;

        r = buffer_printf(text, "rollout %s to %s is ABORTED in ", facts->plan->id, facts->plan->to->version);
        if (r >= 0)
                r = add_stage(text, facts);
        if (r >= 0 && facts->reg->by)
                r = buffer_printf(text, " by %s", facts->reg->by);
        if (r >= 0)
                r = buffer_printf(text, "%s%s; all go back to %s", reason ? ": " : "", reason ?: "",
                                  facts->plan->target->stable.version);
        return r;
}

static int add_completion(Buffer *text, const NotifyFacts *facts) {
        const char *run = facts->reg->running == 1 ? "instance runs" : "instances run";

        if (!facts->plan->staged)
                return buffer_printf(text, "%" PRIu64 " %s %s now", facts->reg->running, run,
                                     facts->plan->to->version);
        return buffer_printf(text,
                             "rollout %s to %s is complete: %" PRIu64
                             " %s it; \"muster rollout finish\" makes it permanent",
                             facts->plan->id, facts->plan->to->version, facts->reg->running, run);
}

static int add_hold(Buffer *text, const NotifyFacts *facts) {
        const char *reason = reason_of(facts);

        return buffer_printf(text, "new instances fail with %s and are HELD until the target changes%s%s",
                             facts->plan->target->stable.version, reason ? ": " : "", reason ?: "");
}

int notify_text(const NotifyFacts *facts, char **ret) {
        static int (*const adds[NOTIFY_KINDS])(Buffer * text, const NotifyFacts *facts) = {
                [NOTIFY_STARTED] = add_start, [NOTIFY_STAGE] = add_next_stage,
                [NOTIFY_ABORTED] = add_abort, [NOTIFY_COMPLETE] = add_completion,
                [NOTIFY_HELD] = add_hold,
        };
        _cleanup_buffer_ Buffer text = {};
        size_t size;
        int r;

        r = buffer_printf(&text, "%s in %s: ", facts->app, facts->group);
        if (r >= 0)
                r = adds[facts->kind](&text, facts);
        if (r >= 0)
                r = buffer_steal(&text, ret, &size);
        for (char *p = *ret; r >= 0 && *p; p++)
                if (*p == '\n')
                        *p = ' ';
        return r < 0 ? r : 0;
}

/* Payload */

/* "Formatting text for app surfaces" in Slack's documentation: these three, and nothing else. */
static int escape(const char *text, Buffer *ret) {
        int r = 0;

        for (const char *p = text; *p && r >= 0; p++) {
                const char *entity = *p == '&' ? "&amp;" : *p == '<' ? "&lt;" : *p == '>' ? "&gt;" : NULL;

                r = entity ? buffer_printf(ret, "%s", entity) : buffer_append(ret, p, 1, SIZE_MAX);
        }
        return r;
}

static json_t *register_members(const NotifyFacts *facts) {
        const Register *reg = facts->reg;
        uint64_t allowed;

        if (!reg)
                return json_object();
        allowed = register_allowed(reg, facts->plan);
        return json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:s?}", "state",
                         register_state_to_string(reg->state), "stage", (json_int_t) reg->stage + 1, "stages",
                         (json_int_t) facts->plan->n_stages, "instances",
                         (json_int_t) MIN(allowed, reg->fleet), "fleet", (json_int_t) reg->fleet, "running",
                         (json_int_t) reg->running, "failures", (json_int_t) reg->failures, "by", reg->by);
}

static json_t *members(const NotifyFacts *facts) {
        const Target *target = facts->plan->target;
        const TargetRelease *to = facts->kind == NOTIFY_HELD ? &target->stable : facts->plan->to;
        _cleanup_json_ json_t *object = register_members(facts), *more = NULL;
        char id[NOTIFY_ID_MAX], at[TIME_TEXT_MAX];

        notify_id(facts, id);
        format_time(facts->at, at);
        more = json_pack("{s:i, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s?, s:I, s:b, s:s?, s:s, s:s?}",
                         "schema", NOTIFY_SCHEMA, "id", id, "event", kind_to_string(facts->kind), "app",
                         facts->app, "group", facts->group, "rollout", facts->plan->id, "version",
                         to->version, "release_sha256", to->sha256, "stable", target->stable.version,
                         "serial", (json_int_t) target->serial, "pinned", target->pinned, "reason",
                         reason_of(facts), "at", at, "told_by", facts->reporter);
        return json_object_update(object, more) < 0 ? NULL : TAKE_PTR(object);
}

int notify_payload(const NotifyFacts *facts, char **ret) {
        _cleanup_json_ json_t *object = members(facts), *payload = NULL;
        _cleanup_free_ char *text = NULL;
        _cleanup_buffer_ Buffer escaped = {};

        if (notify_text(facts, &text) < 0 || escape(text, &escaped) < 0)
                return -ENOMEM;
        payload = json_pack("{s:s, s:O}", "text", buffer_string(&escaped), "muster", object);
        *ret = payload ? json_dumps(payload, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
        return *ret ? 0 : -ENOMEM;
}

/* "Publish" in the Amazon SNS API Reference: ASCII, no control characters, beginning with a letter, a number or punctuation. */
void notify_subject(const char *text, char ret[static NOTIFY_SUBJECT_MAX]) {
        size_t n = 0;

        for (; text[n] && n + 1 < NOTIFY_SUBJECT_MAX; n++)
                ret[n] = text[n] >= ' ' && text[n] <= '~' ? text[n] : '?';
        ret[n] = '\0';
}

bool notify_is_by_operator(const Register *reg) {
        return reg->rev == 1 || (reg->by && string_equal(reg->by, reg->writer));
}

uint64_t notify_delay(const RolloutPlan *plan, const Register *reg, const char *reporter, uint64_t chance) {
        uint64_t fleet = MAX(reg->fleet, reg->live),
                 turn = rollout_plan_order(plan, reporter) / (UINT64_MAX / MAX(fleet, UINT64_C(1)));

        if (turn >= NOTIFY_TELLERS)
                return USEC_INFINITY;
        if (notify_is_by_operator(reg))
                return turn * NOTIFY_TURN;
        return NOTIFY_DELAY_MIN + chance % (NOTIFY_DELAY_MAX - NOTIFY_DELAY_MIN);
}
