#include <inttypes.h>
#include <signal.h>
#include <string.h>

#include "agent/base/clock.h"
#include "agent/base/strv.h"
#include "hooks/hook_name.h"
#include "hooks/output.h"
#include "hooks/probe_command.h"
#include "units/journal_sync.h"
#include "units/transient.h"
#include "units/transient_stop.h"
#include "units/unit_journal.h"

#define STOP_TIMEOUT_USEC (1 * USEC_PER_SEC)
#define QUOTE_MAX 200

typedef struct CommandAttempt {
        Probe *probe;
        char *unit;
        char **argv;
        Transient *transient;
        TransientStop *stop;
        JournalSync *sync;
        bool failed;
        Error error;
} CommandAttempt;

/* Its output went to the journal, as nobody reads it unless it fails. */
static void quote_output(CommandAttempt *attempt) {
        _cleanup_(unit_journal_deinit) UnitJournal journal = {};

        if (unit_journal_read(attempt->unit, 0, &journal, NULL) >= 0 && journal.last_line)
                error_append(&attempt->error, OUTPUT_QUOTE "%.*s", QUOTE_MAX, journal.last_line);
}

static void on_journal(_unused_ JournalSync *sync, void *userdata) {
        CommandAttempt *attempt = userdata;

        quote_output(attempt);
        probe_finish(attempt->probe, &attempt->error);
}

static void on_stopped(_unused_ TransientStop *stop, _unused_ int result, _unused_ const Error *error,
                       void *userdata) {
        CommandAttempt *attempt = userdata;
        sd_event *event = manager_event(attempt->probe->context->manager);

        if (!attempt->failed)
                probe_finish(attempt->probe, NULL);
        else if (journal_sync_start(event, on_journal, attempt, &attempt->sync, NULL) < 0)
                probe_finish(attempt->probe, &attempt->error);
}

static void on_ended(Transient *transient, int result, const Error *error, void *userdata) {
        TransientOutcome outcome = transient_result(transient)->outcome;
        CommandAttempt *attempt = userdata;

        attempt->failed = result < 0 || outcome != TRANSIENT_SUCCESS;
        attempt->error = *error;
        if (result == 0 && (outcome == TRANSIENT_EXIT || outcome == TRANSIENT_SIGNAL ||
                            outcome == TRANSIENT_TIMEOUT || outcome == TRANSIENT_COULD_NOT_START))
                error_blame(&attempt->error, FAULT_RELEASE);
        if (transient_stop_start(attempt->probe->context->manager, attempt->unit, on_stopped, attempt,
                                 &attempt->stop, NULL) < 0)
                probe_finish(attempt->probe, attempt->failed ? &attempt->error : NULL);
}

static bool attempt_abort(void *p) {
        CommandAttempt *attempt = p;

        return transient_kill(attempt->transient, SIGKILL, NULL) >= 0;
}

static void attempt_free(void *p) {
        CommandAttempt *attempt = p;

        transient_free(attempt->transient);
        transient_stop_free(attempt->stop);
        journal_sync_free(attempt->sync);
        strv_free(attempt->argv);
        free(attempt->unit);
        free(attempt);
}

/* Unlike a hook's, the unit is of no use to a later musterd, so its name only has to be one that was not there before. */
static int make_names(CommandAttempt *attempt, uint64_t now) {
        const HealthContext *health = attempt->probe->context->health;
        char *const *command = attempt->probe->check->command;
        _cleanup_free_ char *prefix = NULL;
        int r;

        if (health_unit_prefix(health->app, &prefix) < 0 ||
            asprintf(&attempt->unit, "%s%u-%" PRIx64 ".service", prefix, attempt->probe->number, now) < 0)
                return -ENOMEM;
        r = command[0][0] == '/' ? strv_append(&attempt->argv, command[0])
                                 : strv_appendf(&attempt->argv, "%s/%s", health->release_folder, command[0]);
        return r < 0 ? r : strv_extend(&attempt->argv, command + 1);
}

static int start(Probe *probe, Error *error) {
        const HealthContext *health = probe->context->health;
        Manager *manager = probe->context->manager;
        CommandAttempt *attempt;
        uint64_t now = 0;

        attempt = calloc(1, sizeof(*attempt));
        if (!attempt)
                return error_oom(error);
        attempt->probe = probe;
        probe->attempt = attempt;
        (void) sd_event_now(manager_event(manager), CLOCK_BOOTTIME, &now);
        if (make_names(attempt, now) < 0)
                return error_oom(error);
        return transient_start(
                manager,
                &(TransientSpec){
                        .name = attempt->unit,
                        .description = "Health check",
                        .type = TRANSIENT_ONESHOT,
                        .argv = attempt->argv,
                        .environment_file = probe->context->environment_file,
                        .user = probe->check->runas && *probe->check->runas ? probe->check->runas : "root",
                        .working_directory = health->release_folder,
                        .timeout_usec = probe->timeout_usec,
                        .stop_timeout_usec = STOP_TIMEOUT_USEC,
                },
                on_ended, attempt, &attempt->transient, error);
}

const ProbeType probe_command = { .start = start, .abort = attempt_abort, .free = attempt_free };
