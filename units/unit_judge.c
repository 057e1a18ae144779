#include <errno.h>
#include <string.h>

#include "units/unit_judge.h"
#include "units/unit_name.h"

static const char *const verb_names[] = {
        [UNIT_VERB_START] = "start",     [UNIT_VERB_STOP] = "stop",
        [UNIT_VERB_RESTART] = "restart", [UNIT_VERB_TRY_RESTART] = "try-restart",
        [UNIT_VERB_RELOAD] = "reload",   [UNIT_VERB_RELOAD_OR_RESTART] = "reload-or-restart",
};

const char *unit_verb_to_string(UnitVerb verb) {
        return (size_t) verb < ELEMENTSOF(verb_names) ? verb_names[verb] : "unknown";
}

int unit_verb_from_string(const char *text, UnitVerb *ret) {
        for (size_t i = 0; i < ELEMENTSOF(verb_names); i++)
                if (strcmp(text, verb_names[i]) == 0) {
                        *ret = (UnitVerb) i;
                        return 0;
                }
        return -EINVAL;
}

const char *unit_verdict_to_string(UnitVerdict verdict) {
        static const char *const names[] = {
                [VERDICT_GOOD] = "good",
                [VERDICT_NO_UNIT] = "no-unit",
                [VERDICT_CANNOT_RELOAD] = "cannot-reload",
                [VERDICT_JOB_FAILED] = "job-failed",
                [VERDICT_JOB_TIMEOUT] = "job-timeout",
                [VERDICT_FAILED] = "failed",
                [VERDICT_RESTARTED] = "restarted",
                [VERDICT_MAIN_GONE] = "main-gone",
                [VERDICT_WRONG_STATE] = "wrong-state",
                [VERDICT_OLD_CODE] = "old-code",
        };

        return (size_t) verdict < ELEMENTSOF(names) ? names[verdict] : "unknown";
}

#define blame_release(error, verdict, ...)                                                                   \
        ((UnitVerdict) error_set_fault(error, verdict, FAULT_RELEASE, __VA_ARGS__))

/* How its last main process ended, or systemd's word where there was none. */
static const char *ending(const UnitState *state, char text[static UNIT_EXIT_TEXT_MAX]) {
        unit_exit_text(state->exec_code, state->exec_status, text);
        if (!*text || strcmp(state->result, "timeout") == 0 || strcmp(state->result, "oom-kill") == 0 ||
            strcmp(state->result, "watchdog") == 0 || strcmp(state->result, "start-limit-hit") == 0)
                return state->result;
        return text;
}

static bool waits_for_restart(const UnitState *state) {
        return state->active == UNIT_ACTIVATING && strcmp(state->sub, "auto-restart") == 0;
}

static bool is_down(const UnitState *state) {
        return state->active == UNIT_INACTIVE || state->active == UNIT_FAILED || waits_for_restart(state);
}

static UnitVerdict judge_load(const char *unit, const UnitState *state, Error *error) {
        switch (state->load) {
        case UNIT_NOT_FOUND:
                return blame_release(error, VERDICT_NO_UNIT, "%s: systemd knows no such unit", unit);
        case UNIT_MASKED:
                return (UnitVerdict) error_set_fault(error, VERDICT_NO_UNIT, FAULT_HOST,
                                                     "%s is masked on this instance", unit);
        case UNIT_BAD:
                return blame_release(error, VERDICT_NO_UNIT, "%s: systemd cannot use its unit file: %s", unit,
                                     *state->load_error ? state->load_error : "bad setting");
        default:
                return VERDICT_GOOD;
        }
}

/* StartUnit on a unit that waits for its automatic restart only joins that. */
static const char *start_method(const UnitState *state) {
        return waits_for_restart(state) ? "RestartUnit" : "StartUnit";
}

UnitVerdict unit_judge_before(const char *unit, const UnitState *state, UnitVerb verb,
                              const char **ret_method, Error *error) {
        bool quiet = verb == UNIT_VERB_STOP || verb == UNIT_VERB_TRY_RESTART;
        UnitVerdict verdict;

        *ret_method = NULL;
        if (unit_state_is_unknown(state) && quiet)
                return VERDICT_GOOD;
        verdict = verb == UNIT_VERB_STOP ? VERDICT_GOOD : judge_load(unit, state, error);
        if (verdict != VERDICT_GOOD)
                return verdict;
        switch (verb) {
        case UNIT_VERB_START:
                *ret_method = start_method(state);
                break;
        case UNIT_VERB_STOP:
                *ret_method = state->active == UNIT_INACTIVE ? NULL : "StopUnit";
                break;
        case UNIT_VERB_RESTART:
                *ret_method = "RestartUnit";
                break;
        case UNIT_VERB_TRY_RESTART:
                *ret_method = is_down(state) ? NULL : "TryRestartUnit";
                break;
        case UNIT_VERB_RELOAD:
                if (!is_down(state) && !state->can_reload)
                        return blame_release(error, VERDICT_CANNOT_RELOAD,
                                             "%s cannot be reloaded: its unit file has no ExecReload=", unit);
                *ret_method = is_down(state) ? start_method(state) : "ReloadUnit";
                break;
        case UNIT_VERB_RELOAD_OR_RESTART:
                *ret_method = is_down(state)      ? start_method(state)
                              : state->can_reload ? "ReloadUnit"
                                                  : "RestartUnit";
                break;
        }
        return VERDICT_GOOD;
}

UnitVerdict unit_judge_job(const char *unit, const UnitState *state, UnitVerb verb, const char *result,
                           Error *error) {
        const char *name = unit_verb_to_string(verb);
        char text[UNIT_EXIT_TEXT_MAX];

        if (!result || strcmp(result, "done") == 0)
                return VERDICT_GOOD;
        if (verb == UNIT_VERB_STOP)
                return VERDICT_GOOD; /* how it went down does not matter, that it is down is looked at next */
        if (strcmp(result, "canceled") == 0)
                return (UnitVerdict) error_set_fault(error, VERDICT_JOB_FAILED, FAULT_HOST,
                                                     "%s: its %s was cancelled by somebody else", unit, name);
        if (strcmp(result, "dependency") == 0)
                return blame_release(error, VERDICT_JOB_FAILED,
                                     "%s: its %s failed, because a unit that it requires did not start", unit,
                                     name);
        if (strcmp(result, "failed") != 0)
                return blame_release(error, VERDICT_JOB_FAILED, "%s: its %s ended with '%s'", unit, name,
                                     result);
        if (state->active == UNIT_ACTIVE || state->active == UNIT_RELOADING)
                return blame_release(error, VERDICT_JOB_FAILED,
                                     "%s: its %s failed (%s), the old process goes on", unit, name,
                                     state->reload_result);
        if (strcmp(unit_name_type(unit), "socket") == 0 && strcmp(state->result, "success") == 0)
                return blame_release(
                        error, VERDICT_JOB_FAILED,
                        "%s: its %s was refused: its service is not known, or runs on because it "
                        "does not require the socket",
                        unit, name);
        return blame_release(error, VERDICT_JOB_FAILED, "%s: its %s failed: %s", unit, name,
                             ending(state, text));
}

static bool has_main_process(const UnitState *state) {
        static const char *const types[] = { "simple", "exec", "notify", "dbus", "idle" };

        for (size_t i = 0; i < ELEMENTSOF(types); i++)
                if (strcmp(state->type, types[i]) == 0)
                        return true;
        return false;
}

/* It is active: is it the run, and the process, that it should be? */
static UnitVerdict judge_active(const char *unit, const UnitState *base, const UnitState *state,
                                const char *when, Error *error) {
        char text[UNIT_EXIT_TEXT_MAX];

        if (!sd_id128_is_null(base->invocation) && !sd_id128_equal(base->invocation, state->invocation))
                return (UnitVerdict) error_set_fault(error, VERDICT_RESTARTED, FAULT_HOST,
                                                     "%s was stopped and started by somebody else %s", unit,
                                                     when);
        if (state->main_pid == 0 && (has_main_process(state) || base->main_pid != 0)) {
                unit_exit_text(state->exec_code, state->exec_status, text);
                return blame_release(error, VERDICT_MAIN_GONE,
                                     "%s calls itself active, but its main process is gone%s%s", unit,
                                     *text ? ": " : "", text);
        }
        return VERDICT_GOOD;
}

static UnitVerdict judge_down(const char *unit, const UnitState *base, const UnitState *state, UnitVerb verb,
                              const char *when, Error *error) {
        char text[UNIT_EXIT_TEXT_MAX];

        if (strcmp(state->type, "oneshot") == 0 && strcmp(state->result, "success") == 0 &&
            state->exec_code != 0)
                return VERDICT_GOOD; /* it has done its work */
        if (verb == UNIT_VERB_TRY_RESTART && base->active == UNIT_INACTIVE)
                return VERDICT_GOOD;
        unit_exit_text(state->exec_code, state->exec_status, text);
        return blame_release(error, VERDICT_WRONG_STATE, "%s is inactive %s%s%s", unit, when,
                             *text ? "; its main process ended with " : "", text);
}

static UnitVerdict judge_stopped(const char *unit, const UnitState *state, Error *error) {
        if (unit_state_is_down(state))
                return VERDICT_GOOD;
        return (UnitVerdict) error_set_fault(error, VERDICT_WRONG_STATE, FAULT_UNKNOWN,
                                             "%s is %s (%s) after its stop", unit,
                                             unit_active_to_string(state->active), state->sub);
}

UnitVerdict unit_judge_settling(const char *unit, const UnitState *base, const UnitState *state,
                                UnitVerb verb, uint64_t settled_usec, bool final, Error *error) {
        char when[64], text[UNIT_EXIT_TEXT_MAX];
        UnitVerdict verdict;

        if (verb == UNIT_VERB_STOP)
                return judge_stopped(unit, state, error);
        snprintf(when, sizeof(when), "%.1f s after its %s", (double) settled_usec / 1e6,
                 unit_verb_to_string(verb));
        verdict = judge_load(unit, state, error);
        if (verdict != VERDICT_GOOD)
                return verdict;
        if (state->active == UNIT_FAILED)
                return blame_release(error, VERDICT_FAILED, "%s failed %s: %s", unit, when,
                                     ending(state, text));
        if (waits_for_restart(state))
                return blame_release(error, VERDICT_RESTARTED,
                                     "%s ended %s (%s), and systemd is about to start it anew", unit, when,
                                     ending(state, text));
        if (state->n_restarts > base->n_restarts)
                return blame_release(error, VERDICT_RESTARTED,
                                     "%s ended, and systemd had to start it anew, %s", unit, when);
        if (state->active == UNIT_INACTIVE)
                return judge_down(unit, base, state, verb, when, error);
        if (state->active == UNIT_ACTIVE)
                return judge_active(unit, base, state, when, error);
        if (!final) /* on its way: what becomes of it tells more than that it moves */
                return VERDICT_GOOD;
        return blame_release(error, VERDICT_WRONG_STATE, "%s is %s (%s) %s, not active", unit,
                             unit_active_to_string(state->active), state->sub, when);
}
