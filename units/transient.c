#include <fcntl.h>
#include <signal.h>
#include <string.h>

#include "agent/base/clock.h"
#include "agent/base/parse.h"
#include "agent/base/strv.h"
#include "units/transient.h"
#include "units/unit_watch.h"

/* systemd ends the program at its time-out; so long after that, it is systemd that does not answer. */
#define GUARD_USEC (60 * USEC_PER_SEC)

struct Transient {
        Manager *manager;
        TransientSpec spec; /* everything in it is owned */
        UnitWatch *watch;
        ManagerCall *start, *kill;
        sd_event_source *guard;
        bool accepted; /* systemd knows the unit, or should */
        int signal;
        TransientResult result;
        TransientDone done;
        void *userdata;
};

static void spec_deinit(TransientSpec *spec) {
        free((char *) spec->name);
        free((char *) spec->description);
        strv_free((char **) spec->argv);
        strv_free((char **) spec->environment);
        free((char *) spec->environment_file);
        free((char *) spec->user);
        free((char *) spec->group);
        free((char *) spec->working_directory);
        free((char *) spec->kill_mode);
        unit_properties_free((UnitProperty *) spec->properties, spec->n_properties);
        close_fd(spec->stdin_fd);
        close_fd(spec->stdout_fd);
        close_fd(spec->stderr_fd);
        *spec = (TransientSpec){ .stdin_fd = -1, .stdout_fd = -1, .stderr_fd = -1 };
}

static int copy_fd(int from, int *to) {
        if (from <= 0)
                return 0;
        *to = fcntl(from, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
        return *to < 0 ? -errno : 0;
}

static int copy_texts(TransientSpec *to, const TransientSpec *from) {
        const struct {
                const char **to;
                const char *from;
        } texts[] = {
                { &to->name, from->name },
                { &to->description, from->description },
                { &to->environment_file, from->environment_file },
                { &to->user, from->user },
                { &to->group, from->group },
                { &to->working_directory, from->working_directory },
                { &to->kill_mode, from->kill_mode },
        };

        for (size_t i = 0; i < ELEMENTSOF(texts); i++)
                if (string_set((char **) texts[i].to, texts[i].from) < 0)
                        return -ENOMEM;
        return 0;
}

/* TO is zero but for its descriptors. */
static int spec_copy(TransientSpec *to, const TransientSpec *from) {
        int r;

        to->type = from->type;
        to->adopt = from->adopt;
        to->timeout_usec = from->timeout_usec == 0 ? USEC_INFINITY : from->timeout_usec;
        to->stop_timeout_usec =
                from->stop_timeout_usec ? from->stop_timeout_usec : TRANSIENT_STOP_TIMEOUT_USEC;
        r = copy_texts(to, from);
        if (r >= 0)
                r = strv_extend((char ***) &to->argv, from->argv);
        if (r >= 0)
                r = strv_extend((char ***) &to->environment, from->environment);
        if (r >= 0)
                r = copy_fd(from->stdin_fd, &to->stdin_fd);
        if (r >= 0)
                r = copy_fd(from->stdout_fd, &to->stdout_fd);
        if (r >= 0)
                r = copy_fd(from->stderr_fd, &to->stderr_fd);
        if (r >= 0)
                r = unit_properties_copy(from->properties, from->n_properties,
                                         (UnitProperty **) &to->properties);
        if (r >= 0)
                to->n_properties = from->n_properties;
        return r;
}

/* systemd expands variables in arguments, and makes "$" of "$$". (ExecStartEx with its flag against that is no way out:
 * systemd 252 writes that name into the unit's file, and does not know it when it reads the file again at a reload.) */
static int append_argument(sd_bus_message *m, const char *argument) {
        _cleanup_free_ char *escaped = malloc(strlen(argument) * 2 + 1);
        char *to = escaped;

        if (!escaped)
                return -ENOMEM;
        for (const char *p = argument; *p; p++) {
                if (*p == '$')
                        *to++ = '$';
                *to++ = *p;
        }
        *to = '\0';
        return sd_bus_message_append(m, "s", escaped);
}

static int append_command(sd_bus_message *m, char *const *argv) {
        static const char *const containers[][2] = {
                { "r", "sv" }, { "v", "a(sasb)" }, { "a", "(sasb)" }, { "r", "sasb" }, { "a", "s" },
        };
        int r = 0;

        for (size_t i = 0; r >= 0 && i < ELEMENTSOF(containers); i++) {
                r = sd_bus_message_open_container(m, *containers[i][0], containers[i][1]);
                if (r >= 0 && i == 0)
                        r = sd_bus_message_append(m, "s", "ExecStart");
                if (r >= 0 && i == 3)
                        r = sd_bus_message_append(m, "s", argv[0]);
        }
        for (; r >= 0 && *argv; argv++)
                r = append_argument(m, *argv);
        for (size_t i = ELEMENTSOF(containers); r >= 0 && i > 0; i--) {
                r = sd_bus_message_close_container(m);
                if (r >= 0 && i == ELEMENTSOF(containers))
                        r = sd_bus_message_append(m, "b", 0); /* a failure counts */
        }
        return r;
}

static int append_descriptor(sd_bus_message *m, const char *name, int fd) {
        return fd < 0 ? 0 : sd_bus_message_append(m, "(sv)", name, "h", fd);
}

static int append_text(sd_bus_message *m, const char *name, const char *text) {
        UnitProperty property = UNIT_STRING(name, text);

        return text ? unit_property_append(m, &property) : 0;
}

static int append_properties(sd_bus_message *m, const TransientSpec *spec) {
        const UnitProperty fixed[] = {
                UNIT_STRING("Type", spec->type == TRANSIENT_EXEC ? "exec" : "oneshot"),
                UNIT_BOOLEAN("RemainAfterExit", true),
                UNIT_UINT64("TimeoutStopUSec", spec->stop_timeout_usec),
                /* A oneshot service is "starting" as long as it runs, and RuntimeMaxSec= does not count there. */
                UNIT_UINT64(spec->type == TRANSIENT_EXEC ? "RuntimeMaxUSec" : "TimeoutStartUSec",
                            spec->timeout_usec),
        };
        const UnitProperty environment = { .name = "Environment",
                                           .signature = "as",
                                           .list = (const char *const *) spec->environment };
        const UnitProperty file = { .name = "EnvironmentFiles",
                                    .signature = "a(sb)",
                                    .list = (const char *const[]){ spec->environment_file, NULL } };
        int r;

        r = unit_properties_append(m, fixed, ELEMENTSOF(fixed));
        if (r >= 0)
                r = append_text(m, "Description", spec->description);
        if (r >= 0)
                r = append_command(m, spec->argv);
        if (r >= 0 && spec->environment)
                r = unit_property_append(m, &environment);
        if (r >= 0 && spec->environment_file)
                r = unit_property_append(m, &file);
        if (r >= 0)
                r = append_text(m, "User", spec->user);
        if (r >= 0)
                r = append_text(m, "Group", spec->group);
        if (r >= 0)
                r = append_text(m, "WorkingDirectory", spec->working_directory);
        if (r >= 0)
                r = append_text(m, "KillMode", spec->kill_mode);
        if (r >= 0)
                r = append_descriptor(m, "StandardInputFileDescriptor", spec->stdin_fd);
        if (r >= 0)
                r = append_descriptor(m, "StandardOutputFileDescriptor", spec->stdout_fd);
        if (r >= 0)
                r = append_descriptor(m, "StandardErrorFileDescriptor", spec->stderr_fd);
        return r < 0 ? r : unit_properties_append(m, spec->properties, spec->n_properties);
}

static int fill_start(sd_bus_message *m, void *userdata) {
        const Transient *t = userdata;
        int r;

        r = sd_bus_message_append(m, "ss", t->spec.name, "fail");
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'a', "(sv)");
        if (r >= 0)
                r = append_properties(m, &t->spec);
        if (r >= 0)
                r = sd_bus_message_close_container(m);
        return r < 0 ? r : sd_bus_message_append(m, "a(sa(sv))", 0);
}

/* RESULT is looked at by the callback, which may free the Transient. */
static void finish(Transient *t, int result, const Error *error) {
        t->watch = unit_watch_free(t->watch);
        t->start = manager_call_free(t->start);
        t->guard = sd_event_source_disable_unref(t->guard);
        t->done(t, result, error, t->userdata);
}

static TransientOutcome failed_outcome(const UnitState *state) {
        static const struct {
                const char *result;
                TransientOutcome outcome;
        } outcomes[] = {
                { "timeout", TRANSIENT_TIMEOUT },  { "oom-kill", TRANSIENT_OUT_OF_MEMORY },
                { "exit-code", TRANSIENT_EXIT },   { "signal", TRANSIENT_SIGNAL },
                { "core-dump", TRANSIENT_SIGNAL },
        };

        if (state->exec_code == CLD_EXITED && unit_exec_failure(state->exec_status))
                return TRANSIENT_COULD_NOT_START;
        for (size_t i = 0; i < ELEMENTSOF(outcomes); i++)
                if (strcmp(state->result, outcomes[i].result) == 0)
                        return outcomes[i].outcome;
        return TRANSIENT_COULD_NOT_START; /* resources, protocol, start-limit-hit, … */
}

/* The main process has ended and nothing went wrong in systemd's eyes, in which some signals are a clean end. */
static TransientOutcome exited_outcome(const UnitState *state) {
        if (state->exec_code != CLD_EXITED)
                return TRANSIENT_SIGNAL;
        return state->exec_status == 0 ? TRANSIENT_SUCCESS : TRANSIENT_EXIT;
}

bool transient_judge(const UnitState *state, TransientResult *ret) {
        TransientResult result = {
                .status = state->exec_status,
                .invocation = state->invocation,
                .started_usec = state->exec_started,
        };

        if (unit_state_is_unknown(state)) {
                *ret = (TransientResult){ .outcome = TRANSIENT_VANISHED };
                return true;
        }
        if (state->job != 0)
                return false;
        if (state->active == UNIT_FAILED)
                result.outcome = failed_outcome(state);
        else if (state->active == UNIT_INACTIVE)
                result.outcome = state->exec_started ? TRANSIENT_STOPPED : TRANSIENT_COULD_NOT_START;
        else if (state->active == UNIT_ACTIVE && strcmp(state->sub, "exited") == 0)
                result.outcome = exited_outcome(state);
        else
                return false;
        *ret = result;
        return true;
}

TransientOutcome transient_explain(const TransientResult *result, const UnitState *state,
                                   uint64_t timeout_usec, Error *error) {
        char text[UNIT_EXIT_TEXT_MAX], duration[DURATION_TEXT_MAX];

        unit_exit_text(state ? state->exec_code : 0, state ? state->exec_status : 0, text);
        switch (result->outcome) {
        case TRANSIENT_SUCCESS:
                break;
        case TRANSIENT_EXIT:
        case TRANSIENT_SIGNAL:
                error_set_fault(error, 0, FAULT_UNKNOWN, "%s", text);
                break;
        case TRANSIENT_TIMEOUT:
                format_duration(timeout_usec, duration);
                error_set_fault(error, 0, FAULT_UNKNOWN, "timed out after %s and was ended", duration);
                break;
        case TRANSIENT_OUT_OF_MEMORY:
                error_set_fault(error, 0, FAULT_HOST, "was killed for lack of memory");
                break;
        case TRANSIENT_COULD_NOT_START:
                error_set_fault(error, 0, FAULT_HOST, "systemd could not start it: %s",
                                *text   ? text
                                : state ? state->result
                                        : "reason unknown");
                break;
        case TRANSIENT_STOPPED:
                error_set_fault(error, 0, FAULT_UNKNOWN, "was stopped by somebody else");
                break;
        case TRANSIENT_VANISHED:
                error_set_fault(error, 0, FAULT_UNKNOWN,
                                "systemd no longer knows its unit; how it ended is unknown");
                break;
        }
        return result->outcome;
}

static void on_changed(_unused_ UnitWatch *watch, const UnitState *state, void *userdata) {
        Transient *t = userdata;
        Error error = {};

        if (!t->accepted || !transient_judge(state, &t->result))
                return;
        transient_explain(&t->result, state, t->spec.timeout_usec, &error);
        finish(t, 0, &error);
}

static const UnitWatchEvents watch_events = { .changed = on_changed };

static void on_started(_unused_ ManagerCall *call, int result, _unused_ sd_bus_message *reply,
                       const Error *error, void *userdata) {
        Transient *t = userdata;
        Error refused = {};

        t->start = manager_call_free(t->start);
        if (result == 0 || result == -EALREADY || (result == -EEXIST && t->spec.adopt)) {
                t->accepted = true;
                unit_watch_refresh(t->watch);
        } else if (result == -ENOTCONN || result == -ETIMEDOUT) {
                finish(t, result, error);
        } else {
                t->result = (TransientResult){ .outcome = TRANSIENT_COULD_NOT_START };
                error_set_fault(&refused, result, FAULT_HOST, "systemd refused to start it: %s",
                                error->message);
                finish(t, 0, &refused);
        }
}

static int on_guard(_unused_ sd_event_source *source, _unused_ uint64_t usec, void *userdata) {
        Transient *t = userdata;
        Error error = {};

        error_set_fault(&error, -ETIMEDOUT, FAULT_HOST,
                        "systemd does not answer: it did not report the end of %s in time", t->spec.name);
        finish(t, -ETIMEDOUT, &error);
        return 0;
}

static int transient_new(Manager *manager, const TransientSpec *spec, TransientDone done, void *userdata,
                         Transient **ret, Error *error) {
        _cleanup_(transient_freep) Transient *t = NULL;
        uint64_t guard;
        int r;

        t = calloc(1, sizeof(*t));
        if (!t)
                return error_oom(error);
        *t = (Transient){ .manager = manager, .done = done, .userdata = userdata };
        t->spec.stdin_fd = t->spec.stdout_fd = t->spec.stderr_fd = -1;
        r = spec_copy(&t->spec, spec);
        if (r < 0)
                return error_set_errno(error, r, "cannot copy the description of %s", spec->name);
        guard = usec_add(usec_add(t->spec.timeout_usec, t->spec.stop_timeout_usec), GUARD_USEC);
        if (guard != USEC_INFINITY) /* on the clock that systemd's own time-outs count on */
                r = sd_event_add_time_relative(manager_event(manager), &t->guard, CLOCK_MONOTONIC, guard,
                                               TIMER_ACCURACY_EXACT, on_guard, t);
        if (r < 0)
                return error_set_errno(error, r, "cannot set a timer");
        r = unit_watch_new(manager, t->spec.name, &watch_events, t, &t->watch, error);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(t);
        return 0;
}

int transient_start(Manager *manager, const TransientSpec *spec, TransientDone done, void *userdata,
                    Transient **ret, Error *error) {
        static const ManagerMethod method = { .member = "StartTransientUnit", .fill = fill_start };
        _cleanup_(transient_freep) Transient *t = NULL;
        int r;

        if (!spec->argv || !spec->argv[0])
                return error_set(error, -EINVAL, "%s: no program to run", spec->name);
        r = transient_new(manager, spec, done, userdata, &t, error);
        if (r < 0)
                return r;
        r = manager_call_start(manager, &method, on_started, t, &t->start, error);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(t);
        return 0;
}

int transient_adopt(Manager *manager, const char *name, uint64_t timeout_usec, TransientDone done,
                    void *userdata, Transient **ret, Error *error) {
        const TransientSpec spec = { .name = name, .timeout_usec = timeout_usec };
        int r;

        r = transient_new(manager, &spec, done, userdata, ret, error);
        if (r >= 0)
                (*ret)->accepted = true;
        return r;
}

const TransientResult *transient_result(const Transient *transient) {
        return &transient->result;
}

const char *transient_name(const Transient *transient) {
        return transient->spec.name;
}

static int fill_kill(sd_bus_message *m, void *userdata) {
        const Transient *t = userdata;

        return sd_bus_message_append(m, "ssi", t->spec.name, "all", (int32_t) t->signal);
}

static void on_killed(_unused_ ManagerCall *call, _unused_ int result, _unused_ sd_bus_message *reply,
                      _unused_ const Error *error, void *userdata) {
        Transient *t = userdata;

        t->kill = manager_call_free(t->kill); /* what came of it, the watch tells */
}

int transient_kill(Transient *transient, int signal, Error *error) {
        static const ManagerMethod method = { .member = "KillUnit", .fill = fill_kill };

        transient->signal = signal;
        transient->kill = manager_call_free(transient->kill);
        return manager_call_start(transient->manager, &method, on_killed, transient, &transient->kill, error);
}

Transient *transient_free(Transient *transient) {
        if (!transient)
                return NULL;
        unit_watch_free(transient->watch);
        manager_call_free(transient->start);
        manager_call_free(transient->kill);
        sd_event_source_disable_unref(transient->guard);
        spec_deinit(&transient->spec);
        free(transient);
        return NULL;
}

const char *transient_outcome_to_string(TransientOutcome outcome) {
        static const char *const names[] = {
                [TRANSIENT_SUCCESS] = "success",
                [TRANSIENT_EXIT] = "exit",
                [TRANSIENT_SIGNAL] = "signal",
                [TRANSIENT_TIMEOUT] = "timeout",
                [TRANSIENT_OUT_OF_MEMORY] = "out-of-memory",
                [TRANSIENT_COULD_NOT_START] = "could-not-start",
                [TRANSIENT_STOPPED] = "stopped",
                [TRANSIENT_VANISHED] = "vanished",
        };

        return (size_t) outcome < ELEMENTSOF(names) ? names[outcome] : "unknown";
}
