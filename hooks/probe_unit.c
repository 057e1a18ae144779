#include <string.h>

#include "agent/base/clock.h"
#include "agent/base/parse.h"
#include "hooks/probe_unit.h"
#include "units/unit_watch.h"

typedef struct UnitAttempt {
        Probe *probe;
        UnitWatch *watch;
        sd_event_source *timer;
} UnitAttempt;

static void finish(UnitAttempt *attempt, const Error *error) {
        attempt->watch = unit_watch_free(attempt->watch);
        probe_finish(attempt->probe, error);
}

/* It became active when it was last started, by whomever, so its age says that it was not restarted since. */
static bool check_state(const HealthCheck *check, const UnitState *state, uint64_t now, Error *error) {
        uint64_t age = now > state->active_entered ? now - state->active_entered : 0;
        char active[DURATION_TEXT_MAX], wanted[DURATION_TEXT_MAX], text[UNIT_EXIT_TEXT_MAX];

        if (unit_state_is_unknown(state)) {
                error_set_fault(error, 0, FAULT_RELEASE, "systemd knows no such unit");
                return false;
        }
        if (state->active != UNIT_ACTIVE && state->active != UNIT_RELOADING) {
                unit_exit_text(state->exec_code, state->exec_status, text);
                error_set_fault(error, 0, FAULT_RELEASE, "%s (%s)%s%s, expected active",
                                unit_active_to_string(state->active), state->sub, *text ? ", " : "", text);
                return false;
        }
        if (age < check->active_usec) {
                format_duration(age / USEC_PER_MSEC * USEC_PER_MSEC, active);
                format_duration(check->active_usec, wanted);
                error_set_fault(error, 0, FAULT_RELEASE, "active for %s (%u restarts), expected %s", active,
                                state->n_restarts, wanted);
                return false;
        }
        return true;
}

static void on_changed(_unused_ UnitWatch *watch, const UnitState *state, void *userdata) {
        UnitAttempt *attempt = userdata;
        Error error = {};
        uint64_t now = 0;
        bool good;

        (void) sd_event_now(manager_event(attempt->probe->context->manager), CLOCK_MONOTONIC, &now);
        good = check_state(attempt->probe->check, state, now, &error);
        finish(attempt, good ? NULL : &error);
}

static const UnitWatchEvents watch_events = { .changed = on_changed };

static int on_timer(_unused_ sd_event_source *source, _unused_ uint64_t usec, void *userdata) {
        UnitAttempt *attempt = userdata;
        char duration[DURATION_TEXT_MAX];
        Error error = {};

        format_duration(attempt->probe->timeout_usec, duration);
        error_set_fault(&error, -ETIMEDOUT, FAULT_HOST, "systemd does not answer within %s", duration);
        finish(attempt, &error);
        return 0;
}

static void attempt_free(void *p) {
        UnitAttempt *attempt = p;

        unit_watch_free(attempt->watch);
        sd_event_source_disable_unref(attempt->timer);
        free(attempt);
}

static int start(Probe *probe, Error *error) {
        Manager *manager = probe->context->manager;
        UnitAttempt *attempt;
        int r;

        attempt = calloc(1, sizeof(*attempt));
        if (!attempt)
                return error_oom(error);
        attempt->probe = probe;
        probe->attempt = attempt;
        r = sd_event_add_time_relative(manager_event(manager), &attempt->timer, CLOCK_BOOTTIME,
                                       probe->timeout_usec, TIMER_ACCURACY_EXACT, on_timer, attempt);
        if (r < 0)
                return error_set_errno(error, r, "cannot set a timer");
        return unit_watch_new(manager, probe->check->unit, &watch_events, attempt, &attempt->watch, error);
}

const ProbeType probe_unit = { .start = start, .free = attempt_free };
