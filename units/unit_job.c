#include <inttypes.h>
#include <signal.h>
#include <string.h>

#include "agent/base/clock.h"
#include "agent/base/parse.h"
#include "agent/base/strv.h"
#include "units/journal_sync.h"
#include "units/unit_job.h"
#include "units/unit_journal.h"
#include "units/unit_process.h"
#include "units/unit_watch.h"

/* For the last look at the unit, when the connection is just being made again. */
#define LAST_LOOK_USEC (30 * USEC_PER_SEC)

/* systemd takes the time of a start after the fork, when the process may have said something already. */
#define START_SLACK_USEC (100 * USEC_PER_MSEC)

/* A reload that only sends a signal has ended before the service has heard of it. */
#define CODE_PATIENCE_USEC (5 * USEC_PER_SEC)
#define CODE_LOOK_USEC (100 * USEC_PER_MSEC)

#define LAST_LINE_MAX 200

typedef enum Phase {
        PHASE_LOOK,    /* waiting for the unit's state before the action */
        PHASE_RESET,   /* clearing the start limit, which counts deliberate starts, too */
        PHASE_ACT,     /* the method is called */
        PHASE_WAIT,    /* for the job */
        PHASE_GIVE_UP, /* it took too long, and is cancelled */
        PHASE_SETTLE,  /* watching */
        PHASE_RELOAD,  /* the service itself says that it reloads; then it settles anew */
        PHASE_LAST,    /* waiting for the state at the end of the settle time */
        PHASE_JOURNAL, /* the verdict is there, its reasons are on their way into the journal */
        PHASE_DONE,
} Phase;

struct UnitJob {
        Manager *manager;
        UnitJobSpec spec; /* texts owned */
        Phase phase;
        UnitWatch *watch;
        ManagerCall *call, *cancel, *kill;
        JournalSync *sync;
        sd_event_source *timer;
        const char *method;
        bool referenced; /* systemd keeps the unit for us */
        uint32_t job;    /* systemd's, 0 before it is known */
        char job_result[UNIT_WORD_MAX];
        UnitState base, state;
        uint64_t acted_at; /* CLOCK_MONOTONIC, which systemd's and the journal's times are on */
        uint64_t settle_began;
        uint64_t reload_until; /* the end of the reload that the service tells of; 0: of none */
        bool late;             /* the code was still the old one */
        uint64_t code_until;   /* how long the old code is looked at again; 0: it was not seen */
        UnitVerdict verdict;
        Error error;
        UnitJournal journal;
        UnitJobDone done;
        void *userdata;
};

static uint64_t now_of(UnitJob *job) {
        uint64_t now = 0;

        (void) sd_event_now(manager_event(job->manager), CLOCK_BOOTTIME, &now);
        return now;
}

static void set_timer(UnitJob *job, uint64_t usec) {
        (void) sd_event_source_set_time_relative(job->timer, usec);
        (void) sd_event_source_set_enabled(job->timer, SD_EVENT_ONESHOT);
}

static void drop_reference(UnitJob *job) {
        if (job->referenced)
                manager_send(job->manager, "UnrefUnit", job->spec.unit);
        job->referenced = false;
}

static void finish(UnitJob *job, int result) {
        job->phase = PHASE_DONE;
        drop_reference(job);
        job->watch = unit_watch_free(job->watch);
        job->call = manager_call_free(job->call);
        (void) sd_event_source_set_enabled(job->timer, SD_EVENT_OFF);
        job->done(job, result, &job->error, job->userdata);
}

/* From the action on; and not what the old process said on its way out, where there is a new one. */
static void read_journal(UnitJob *job) {
        uint64_t started = job->base.exec_started, since;

        since = MAX(job->acted_at, started > START_SLACK_USEC ? started - START_SLACK_USEC : 0);
        if (unit_journal_read(job->spec.unit, since, &job->journal, NULL) < 0)
                return; /* the verdict stands without it */
        if (job->journal.last_line)
                error_append(&job->error, "; its last words: %.*s", LAST_LINE_MAX, job->journal.last_line);
}

static void on_journal(_unused_ JournalSync *sync, void *userdata) {
        UnitJob *job = userdata;

        read_journal(job);
        finish(job, (int) job->verdict);
}

static void conclude(UnitJob *job, UnitVerdict verdict) {
        job->verdict = verdict;
        job->watch = unit_watch_free(job->watch);
        if (verdict != VERDICT_GOOD &&
            journal_sync_start(manager_event(job->manager), on_journal, job, &job->sync, NULL) >= 0) {
                job->phase = PHASE_JOURNAL;
                (void) sd_event_source_set_enabled(job->timer, SD_EVENT_OFF);
        } else {
                finish(job, (int) verdict);
        }
}

static UnitVerdict judge_code(UnitJob *job) {
        _cleanup_free_ char *where = NULL;
        bool runs = false;
        int r;

        if (!job->spec.runs_from || job->state.main_pid == 0)
                return VERDICT_GOOD;
        r = process_runs_from((pid_t) job->state.main_pid, job->spec.runs_from, &runs, &where, &job->error);
        if (r < 0 && r != -ESRCH)
                return VERDICT_OLD_CODE;
        if (r == -ESRCH)
                return (UnitVerdict) error_set_fault(&job->error, VERDICT_MAIN_GONE, FAULT_RELEASE,
                                                     "%s: its main process is gone", job->spec.unit);
        if (runs)
                return VERDICT_GOOD;
        return (UnitVerdict) error_set_fault(&job->error, VERDICT_OLD_CODE, FAULT_RELEASE,
                                             "%s still runs %s after its %s, not what lies in %s",
                                             job->spec.unit, where, unit_verb_to_string(job->spec.verb),
                                             job->spec.runs_from);
}

/* Unless the service says itself when its reload has ended. */
static bool code_may_change(UnitJob *job) {
        if (!string_equal(job->method, "ReloadUnit") || job->reload_until > 0)
                return false;
        if (job->code_until == 0)
                job->code_until = now_of(job) + CODE_PATIENCE_USEC;
        return now_of(job) < job->code_until;
}

static void settle_for(UnitJob *job, uint64_t usec) {
        job->phase = PHASE_SETTLE;
        set_timer(job, usec);
}

/* Code that came late has its settle time, too. */
static bool goes_on(UnitJob *job, UnitVerdict verdict) {
        if (verdict == VERDICT_OLD_CODE && code_may_change(job)) {
                job->late = true;
                settle_for(job, CODE_LOOK_USEC);
        } else if (verdict == VERDICT_GOOD && job->late) {
                job->late = false;
                job->settle_began = now_of(job);
                settle_for(job, job->spec.settle_usec);
        } else {
                return false;
        }
        job->error = (Error){};
        return true;
}

static void settle(UnitJob *job) {
        bool final = job->phase == PHASE_LAST;
        UnitVerdict verdict;

        verdict = unit_judge_settling(job->spec.unit, &job->base, &job->state, job->spec.verb,
                                      now_of(job) - job->settle_began, final, &job->error);
        if (verdict == VERDICT_GOOD && final && job->spec.verb != UNIT_VERB_STOP)
                verdict = judge_code(job);
        if ((verdict != VERDICT_GOOD || final) && !(final && goes_on(job, verdict)))
                conclude(job, verdict);
}

/* With Type=notify the end of ExecReload= is not the end of the reload: that is READY=1 after RELOADING=1 (sd_notify(3)). */
static void follow_reload(UnitJob *job) {
        uint64_t now = now_of(job);

        job->phase = PHASE_RELOAD;
        if (job->reload_until == 0)
                job->reload_until = now + job->spec.deadline_usec;
        set_timer(job, job->reload_until > now ? job->reload_until - now : 0);
}

static void watch_settling(UnitJob *job) {
        if (job->state.active == UNIT_RELOADING)
                follow_reload(job);
        else
                settle(job);
}

static void begin_settling(UnitJob *job) {
        job->phase = job->spec.settle_usec > 0 ? PHASE_SETTLE : PHASE_LAST;
        job->settle_began = now_of(job);
        set_timer(job, job->spec.settle_usec);
        watch_settling(job);
}

static void job_ended(UnitJob *job) {
        const char *result = *job->job_result ? job->job_result : NULL;
        UnitVerdict verdict;

        verdict = unit_judge_job(job->spec.unit, &job->state, job->spec.verb, result, &job->error);
        /* A reload goes on with the run that was there before it, anything else begins a new one. */
        if (!string_equal(job->method, "ReloadUnit"))
                job->base = job->state;
        if (verdict != VERDICT_GOOD) {
                conclude(job, verdict);
                return;
        }
        begin_settling(job);
}

static int fill_unit(sd_bus_message *m, void *userdata) {
        const UnitJob *job = userdata;

        return sd_bus_message_append(m, "s", job->spec.unit);
}

static int fill_act(sd_bus_message *m, void *userdata) {
        const UnitJob *job = userdata;

        return sd_bus_message_append(m, "ss", job->spec.unit, "replace");
}

static void on_acted(_unused_ ManagerCall *call, int result, sd_bus_message *reply, const Error *error,
                     void *userdata) {
        UnitJob *job = userdata;
        const char *path;

        job->call = manager_call_free(job->call);
        if (result >= 0)
                result = sd_bus_message_read(reply, "o", &path);
        if (result < 0) {
                job->error = *error;
                error_prefix(&job->error, "%s: cannot %s it", job->spec.unit,
                             unit_verb_to_string(job->spec.verb));
                if (result == -ENOTCONN || result == -ETIMEDOUT) {
                        finish(job, result);
                } else {
                        error_blame(&job->error, FAULT_RELEASE);
                        conclude(job, VERDICT_JOB_FAILED);
                }
                return;
        }
        (void) sscanf(path, MANAGER_PATH "/job/%" SCNu32, &job->job);
        job->phase = PHASE_WAIT;
        unit_watch_refresh(job->watch);
}

static void act(UnitJob *job) {
        ManagerMethod method = { .member = job->method,
                                 .fill = fill_act,
                                 .timeout_usec = job->spec.deadline_usec };
        int r;

        job->phase = PHASE_ACT;
        (void) sd_event_now(manager_event(job->manager), CLOCK_MONOTONIC, &job->acted_at);
        r = manager_call_start(job->manager, &method, on_acted, job, &job->call, &job->error);
        if (r < 0) {
                finish(job, r);
                return;
        }
        /* Else systemd forgets one that has ended at once, and how it ended. Only now, since what is not loaded (and has
         * no job) cannot be referenced. */
        manager_send(job->manager, "RefUnit", job->spec.unit);
        job->referenced = true;
}

static void on_reset(_unused_ ManagerCall *call, _unused_ int result, _unused_ sd_bus_message *reply,
                     _unused_ const Error *error, void *userdata) {
        UnitJob *job = userdata;

        job->call = manager_call_free(job->call);
        act(job); /* a unit that is not loaded has nothing to reset */
}

static void look(UnitJob *job) {
        static const ManagerMethod reset = { .member = "ResetFailedUnit", .fill = fill_unit };
        UnitVerdict verdict;
        int r;

        job->base = job->state;
        verdict = unit_judge_before(job->spec.unit, &job->state, job->spec.verb, &job->method, &job->error);
        if (verdict != VERDICT_GOOD || !job->method) {
                conclude(job, verdict);
        } else if (string_equal(job->method, "ReloadUnit") || string_equal(job->method, "StopUnit")) {
                act(job);
        } else {
                job->phase = PHASE_RESET;
                r = manager_call_start(job->manager, &reset, on_reset, job, &job->call, &job->error);
                if (r < 0)
                        finish(job, r);
        }
}

static void on_changed(_unused_ UnitWatch *watch, const UnitState *state, void *userdata) {
        UnitJob *job = userdata;

        job->state = *state;
        switch (job->phase) {
        case PHASE_LOOK:
                look(job);
                break;
        case PHASE_WAIT:
                if (state->job != job->job)
                        job_ended(job);
                break;
        case PHASE_SETTLE:
        case PHASE_LAST:
                watch_settling(job);
                break;
        case PHASE_RELOAD:
                if (state->active != UNIT_RELOADING)
                        begin_settling(job);
                break;
        default:
                break;
        }
}

static void on_job_removed(_unused_ UnitWatch *watch, const char *path, const char *result, void *userdata) {
        UnitJob *job = userdata;
        uint32_t id;

        if (job->phase == PHASE_WAIT && sscanf(path, MANAGER_PATH "/job/%" SCNu32, &id) == 1 &&
            id == job->job)
                snprintf(job->job_result, sizeof(job->job_result), "%s", result);
}

static const UnitWatchEvents watch_events = { .changed = on_changed, .job_removed = on_job_removed };

static int fill_cancel(sd_bus_message *m, void *userdata) {
        const UnitJob *job = userdata;

        return sd_bus_message_append(m, "u", job->job);
}

static int fill_kill(sd_bus_message *m, void *userdata) {
        const UnitJob *job = userdata;

        return sd_bus_message_append(m, "ssi", job->spec.unit, "control", (int32_t) SIGKILL);
}

static void on_cleaned(ManagerCall *call, _unused_ int result, _unused_ sd_bus_message *reply,
                       _unused_ const Error *error, void *userdata) {
        UnitJob *job = userdata;

        if (call == job->kill)
                job->kill = manager_call_free(job->kill);
        else
                job->cancel = manager_call_free(job->cancel);
        if (!job->kill && !job->cancel)
                conclude(job, VERDICT_JOB_TIMEOUT);
}

/* The job goes, and so does an ExecReload= that hangs: otherwise the unit would refuse everything until systemd's own
 * time-out. */
static void give_up(UnitJob *job) {
        static const ManagerMethod cancel = { .member = "CancelJob", .fill = fill_cancel };
        static const ManagerMethod kill_control = { .member = "KillUnit", .fill = fill_kill };
        char duration[DURATION_TEXT_MAX];

        job->phase = PHASE_GIVE_UP;
        format_duration(job->spec.deadline_usec, duration);
        error_set_fault(&job->error, VERDICT_JOB_TIMEOUT, FAULT_RELEASE, "%s: its %s did not end within %s",
                        job->spec.unit, unit_verb_to_string(job->spec.verb), duration);
        (void) manager_call_start(job->manager, &cancel, on_cleaned, job, &job->cancel, NULL);
        if (job->state.active == UNIT_RELOADING)
                (void) manager_call_start(job->manager, &kill_control, on_cleaned, job, &job->kill, NULL);
        if (!job->cancel && !job->kill)
                conclude(job, VERDICT_JOB_TIMEOUT);
}

static void reload_overdue(UnitJob *job) {
        char duration[DURATION_TEXT_MAX];

        format_duration(job->spec.deadline_usec, duration);
        error_set_fault(
                &job->error, VERDICT_JOB_TIMEOUT, FAULT_RELEASE,
                "%s: its reload did not end within %s: it has said RELOADING=1, and not READY=1 since",
                job->spec.unit, duration);
        conclude(job, VERDICT_JOB_TIMEOUT);
}

static int on_timer(_unused_ sd_event_source *source, _unused_ uint64_t usec, void *userdata) {
        UnitJob *job = userdata;

        switch (job->phase) {
        case PHASE_WAIT:
                give_up(job);
                break;
        case PHASE_RELOAD:
                reload_overdue(job);
                break;
        case PHASE_SETTLE:
                job->phase = PHASE_LAST;
                set_timer(job, LAST_LOOK_USEC);
                unit_watch_refresh(job->watch);
                break;
        default:
                finish(job, error_set_fault(&job->error, -ETIMEDOUT, FAULT_HOST,
                                            "systemd does not answer: it does not tell the state of %s",
                                            job->spec.unit));
        }
        return 0;
}

static int copy_spec(UnitJob *job, const UnitJobSpec *spec) {
        job->spec = (UnitJobSpec){
                .verb = spec->verb,
                .deadline_usec = spec->deadline_usec ? spec->deadline_usec : UNIT_JOB_DEADLINE_USEC,
                .settle_usec = spec->settle_usec,
        };
        if (string_set((char **) &job->spec.unit, spec->unit) < 0)
                return -ENOMEM;
        return string_set((char **) &job->spec.runs_from, spec->runs_from);
}

int unit_job_start(Manager *manager, const UnitJobSpec *spec, UnitJobDone done, void *userdata, UnitJob **ret,
                   Error *error) {
        _cleanup_(unit_job_freep) UnitJob *job = NULL;
        int r;

        job = calloc(1, sizeof(*job));
        if (!job)
                return error_oom(error);
        job->manager = manager;
        job->done = done;
        job->userdata = userdata;
        if (copy_spec(job, spec) < 0)
                return error_oom(error);
        r = sd_event_add_time_relative(manager_event(manager), &job->timer, CLOCK_BOOTTIME,
                                       job->spec.deadline_usec, TIMER_ACCURACY_EXACT, on_timer, job);
        if (r < 0)
                return error_set_errno(error, r, "cannot set a timer");
        r = unit_watch_new(manager, spec->unit, &watch_events, job, &job->watch, error);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(job);
        return 0;
}

const char *unit_job_journal(const UnitJob *job) {
        return job->journal.text ? job->journal.text : "";
}

const UnitState *unit_job_state(const UnitJob *job) {
        return &job->state;
}

UnitJob *unit_job_free(UnitJob *job) {
        if (!job)
                return NULL;
        drop_reference(job);
        unit_watch_free(job->watch);
        manager_call_free(job->call);
        manager_call_free(job->cancel);
        manager_call_free(job->kill);
        journal_sync_free(job->sync);
        sd_event_source_disable_unref(job->timer);
        unit_journal_deinit(&job->journal);
        free((char *) job->spec.unit);
        free((char *) job->spec.runs_from);
        free(job);
        return NULL;
}
