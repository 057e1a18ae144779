#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "agent/base/parse.h"
#include "agent/base/strv.h"
#include "agent/decision_json.h"
#include "agent/replay.h"

static int differs(Replay *replay, const char *format, ...) _printf_(2, 3);

static int differs(Replay *replay, const char *format, ...) {
        va_list arguments;

        va_start(arguments, format);
        (void) vsnprintf(replay->difference, sizeof(replay->difference), format, arguments);
        va_end(arguments);
        return REPLAY_DIFFERS;
}

static int compare_decision(const DecisionCase *c, const Decision *now, const Deployment *recorded,
                            Replay *replay) {
        const Decision *then = &c->decision;
        const ReleaseRef *wanted = now->release;

        if (now->action != then->action)
                return differs(replay, "it was decided to %s (%s), now it would be %s (%s)",
                               decision_action_to_string(then->action), then->reason,
                               decision_action_to_string(now->action), now->reason);
        if (strcmp(now->reason, then->reason) != 0 || now->env_changed != then->env_changed ||
            now->local_pin != then->local_pin)
                return differs(replay, "it was decided because \"%s\", now it would be because \"%s\"",
                               then->reason, now->reason);
        if (now->action != DECISION_DRAIN && wanted && !release_ref_equal(wanted, &recorded->to))
                return differs(replay, "release %s was wanted, and %s was deployed", wanted->version,
                               recorded->to.version);
        return REPLAY_SAME;
}

static int replay_decision(const Deployment *recorded, Replay *replay, Error *error) {
        DecisionCase c;
        Decision now;
        int r;

        if (!recorded->facts)
                return REPLAY_SAME; /* by hand, or by an older muster */
        r = decision_case_parse(recorded->facts, &c, error);
        if (r < 0)
                return r;
        decide(&c.facts, &now);
        r = compare_decision(&c, &now, recorded, replay);
        decision_case_deinit(&c);
        if (r == REPLAY_SAME)
                replay->decisions++;
        return r;
}

/* As it was when it began. */
static int begin_again(const Deployment *recorded, Deployment *ret) {
        *ret = (Deployment){ .serial = recorded->serial,
                             .accepted = recorded->accepted,
                             .kind = recorded->kind,
                             .step = deployment_first_step(recorded->kind, recorded->traffic),
                             .local = recorded->local,
                             .traffic = recorded->traffic,
                             .env_changed = recorded->env_changed,
                             .started = recorded->started };
        if (string_set(&ret->id, recorded->id) < 0 || release_ref_copy(&ret->to, &recorded->to) < 0 ||
            release_ref_copy(&ret->from, &recorded->from) < 0)
                return -ENOMEM;
        return 0;
}

static int replay_event(Deployment *d, const EventLog *log, Replay *replay) {
        DeploymentEvent event = {
                .kind = log->kind, .at = log->at, .reason = log->reason, .fault = log->fault
        };
        _cleanup_free_ char *boot_id = NULL; /* D's own would change while it is applied */
        Step before = d->step;
        char at[TIME_TEXT_MAX];
        int r;

        if (string_set(&boot_id, log->boot_id ? log->boot_id : d->boot_id) < 0)
                return -ENOMEM;
        event.boot_id = boot_id;
        format_time(log->at, at);
        r = deployment_apply(d, &event);
        if (r == -ENOMEM)
                return r;
        if (r < 0)
                return differs(replay, "event \"%s\" at %s is not one that %s can have",
                               deployment_event_to_string(log->kind), at, step_to_string(before));
        if (d->step != log->then)
                return differs(replay, "after %s and event \"%s\" at %s came %s, now it would be %s",
                               step_to_string(before), deployment_event_to_string(log->kind), at,
                               step_to_string(log->then), step_to_string(d->step));
        replay->decisions++;
        return REPLAY_SAME;
}

static int compare_end(const Deployment *recorded, const Deployment *d, Replay *replay) {
        if (d->outcome != recorded->outcome)
                return differs(replay, "it ended as %s, now it would as %s",
                               outcome_to_string(recorded->outcome), outcome_to_string(d->outcome));
        if (!string_equal(d->reason, recorded->reason) || d->fault != recorded->fault ||
            d->failed_step != recorded->failed_step || d->cancelled != recorded->cancelled)
                return differs(replay, "it failed in %s (%s), now it would in %s (%s)",
                               step_to_string(recorded->failed_step),
                               recorded->reason ? recorded->reason : "-", step_to_string(d->failed_step),
                               d->reason ? d->reason : "-");
        if (!string_equal(d->rollback_reason, recorded->rollback_reason))
                return differs(replay, "the way back failed as \"%s\", now it would as \"%s\"",
                               recorded->rollback_reason ? recorded->rollback_reason : "-",
                               d->rollback_reason ? d->rollback_reason : "-");
        return REPLAY_SAME;
}

static int replay_events(const Deployment *recorded, Deployment *d, Replay *replay) {
        int r = REPLAY_SAME;

        for (size_t i = 0; i < recorded->n_events && r == REPLAY_SAME; i++)
                r = replay_event(d, &recorded->events[i], replay);
        return r != REPLAY_SAME || !replay->whole ? r : compare_end(recorded, d, replay);
}

int replay_deployment(const Deployment *recorded, Replay *ret, Error *error) {
        _cleanup_(deployment_deinit) Deployment d = {};
        Replay replay = { .whole = recorded->n_events > 0 && !recorded->events_lost };
        int r;

        r = replay_decision(recorded, &replay, error);
        if (r == REPLAY_SAME) {
                r = begin_again(recorded, &d);
                if (r >= 0)
                        r = replay_events(recorded, &d, &replay);
                if (r < 0)
                        return error_oom(error);
        }
        if (r >= 0)
                *ret = replay;
        return r;
}
