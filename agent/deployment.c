#include <string.h>

#include "agent/base/strv.h"
#include "agent/base/utf8.h"
#include "agent/deployment.h"

typedef struct StepRow {
        const char *name;
        const char *lifecycle_event;
        Step next;
        bool tolerated; /* a failure is noted and the deployment goes on */
        bool traffic;   /* passed over in a deployment without traffic */
} StepRow;

/* The whole order of a deploy. A step of the rollback that fails ends it, but for the failed release's own stop, and for the
 * load balancer: what the instance was taken out of it is put back into after the deployment, too. */
static const StepRow rows[STEP_COUNT] = {
        [STEP_VERIFY] = { "VERIFY", NULL, STEP_FETCH, .tolerated = false },
        [STEP_FETCH] = { "FETCH", NULL, STEP_BEFORE_BLOCK_TRAFFIC, .tolerated = false },
        [STEP_BEFORE_BLOCK_TRAFFIC] = { "BEFORE_BLOCK_TRAFFIC", "BeforeBlockTraffic", STEP_BLOCK_TRAFFIC,
                                        .tolerated = true, .traffic = true },
        [STEP_BLOCK_TRAFFIC] = { "BLOCK_TRAFFIC", "BlockTraffic", STEP_AFTER_BLOCK_TRAFFIC, .traffic = true },
        [STEP_AFTER_BLOCK_TRAFFIC] = { "AFTER_BLOCK_TRAFFIC", "AfterBlockTraffic", STEP_APPLICATION_STOP,
                                       .tolerated = true, .traffic = true },
        [STEP_APPLICATION_STOP] = { "APPLICATION_STOP", "ApplicationStop", STEP_BEFORE_INSTALL,
                                    .tolerated = true },
        [STEP_BEFORE_INSTALL] = { "BEFORE_INSTALL", "BeforeInstall", STEP_SWITCH, .tolerated = false },
        [STEP_SWITCH] = { "SWITCH", NULL, STEP_AFTER_INSTALL, .tolerated = false },
        [STEP_AFTER_INSTALL] = { "AFTER_INSTALL", "AfterInstall", STEP_UNITS, .tolerated = false },
        [STEP_UNITS] = { "UNITS", NULL, STEP_APPLICATION_START, .tolerated = false },
        [STEP_APPLICATION_START] = { "APPLICATION_START", "ApplicationStart", STEP_VALIDATE_SERVICE,
                                     .tolerated = false },
        [STEP_VALIDATE_SERVICE] = { "VALIDATE_SERVICE", "ValidateService", STEP_HEALTH, .tolerated = false },
        [STEP_HEALTH] = { "HEALTH", NULL, STEP_BEFORE_ALLOW_TRAFFIC, .tolerated = false },
        [STEP_BEFORE_ALLOW_TRAFFIC] = { "BEFORE_ALLOW_TRAFFIC", "BeforeAllowTraffic", STEP_ALLOW_TRAFFIC,
                                        .traffic = true },
        [STEP_ALLOW_TRAFFIC] = { "ALLOW_TRAFFIC", "AllowTraffic", STEP_AFTER_ALLOW_TRAFFIC, .traffic = true },
        [STEP_AFTER_ALLOW_TRAFFIC] = { "AFTER_ALLOW_TRAFFIC", "AfterAllowTraffic", STEP_COMMIT,
                                       .traffic = true },
        [STEP_COMMIT] = { "COMMIT", NULL, STEP_END, .tolerated = false },
        [STEP_ROLLBACK_BLOCK_TRAFFIC] = { "ROLLBACK_BLOCK_TRAFFIC", "BlockTraffic", STEP_ROLLBACK_STOP,
                                          .tolerated = true, .traffic = true },
        [STEP_ROLLBACK_STOP] = { "ROLLBACK_STOP", "ApplicationStop", STEP_ROLLBACK_SWITCH,
                                 .tolerated = true },
        [STEP_ROLLBACK_SWITCH] = { "ROLLBACK_SWITCH", NULL, STEP_ROLLBACK_UNITS, .tolerated = false },
        [STEP_ROLLBACK_UNITS] = { "ROLLBACK_UNITS", NULL, STEP_ROLLBACK_START, .tolerated = false },
        [STEP_ROLLBACK_START] = { "ROLLBACK_START", "ApplicationStart", STEP_ROLLBACK_HEALTH,
                                  .tolerated = false },
        [STEP_ROLLBACK_HEALTH] = { "ROLLBACK_HEALTH", NULL, STEP_ROLLBACK_ALLOW_TRAFFIC, .tolerated = false },
        [STEP_ROLLBACK_ALLOW_TRAFFIC] = { "ROLLBACK_ALLOW_TRAFFIC", "AllowTraffic", STEP_END,
                                          .tolerated = true, .traffic = true },
        [STEP_STOP_UNITS] = { "STOP_UNITS", NULL, STEP_END, .tolerated = false },
        [STEP_ADOPT] = { "ADOPT", NULL, STEP_COMMIT, .tolerated = false },
        [STEP_END] = { "END", NULL, STEP_END, .tolerated = false },
};

static const char *const kind_names[] = {
        [KIND_DEPLOY] = "deploy",
        [KIND_PREFETCH] = "prefetch",
        [KIND_DRAIN] = "drain",
        [KIND_ADOPT] = "adopt",
};

static const char *const outcome_names[] = {
        [OUTCOME_RUNNING] = "running",
        [OUTCOME_SUCCEEDED] = "succeeded",
        [OUTCOME_FAILED] = "failed",
        [OUTCOME_ROLLED_BACK] = "rolled-back",
        [OUTCOME_ROLLBACK_FAILED] = "rollback-failed",
};

static const char *const result_names[] = {
        [STEP_RESULT_RUNNING] = "running",         [STEP_RESULT_SUCCEEDED] = "succeeded",
        [STEP_RESULT_FAILED] = "failed",           [STEP_RESULT_TOLERATED] = "tolerated",
        [STEP_RESULT_INTERRUPTED] = "interrupted",
};

static const char *const event_names[] = {
        [DEPLOYMENT_STEP_STARTED] = "started",
        [DEPLOYMENT_HOOK_SUCCEEDED] = "hook-succeeded",
        [DEPLOYMENT_STEP_SUCCEEDED] = "succeeded",
        [DEPLOYMENT_STEP_FAILED] = "failed",
        [DEPLOYMENT_CANCELLED] = "cancelled",
        [DEPLOYMENT_CUT] = "cut",
        [DEPLOYMENT_RESUMED] = "resumed",
        [DEPLOYMENT_FOUND] = "found",
        [DEPLOYMENT_ROLLBACK_RETRIED] = "rollback-retried",
};

static int find_name(const char *const *names, size_t n, const char *text) {
        for (size_t i = 0; i < n; i++)
                if (strcmp(names[i], text) == 0)
                        return (int) i;
        return -EINVAL;
}

const char *deployment_kind_to_string(DeploymentKind kind) {
        return kind_names[kind];
}

int deployment_kind_from_string(const char *text, DeploymentKind *ret) {
        int i = find_name(kind_names, ELEMENTSOF(kind_names), text);

        if (i >= 0)
                *ret = (DeploymentKind) i;
        return i < 0 ? i : 0;
}

Step deployment_first_step(DeploymentKind kind, bool traffic) {
        if (kind != KIND_DRAIN)
                return STEP_VERIFY;
        return traffic ? STEP_BEFORE_BLOCK_TRAFFIC : STEP_APPLICATION_STOP;
}

const char *step_to_string(Step step) {
        return step < STEP_COUNT ? rows[step].name : "?";
}

int step_from_string(const char *text, Step *ret) {
        for (size_t i = 0; i < STEP_COUNT; i++)
                if (strcmp(rows[i].name, text) == 0) {
                        *ret = (Step) i;
                        return 0;
                }
        return -EINVAL;
}

const char *step_lifecycle_event(Step step) {
        return rows[step].lifecycle_event;
}

const char *outcome_to_string(Outcome outcome) {
        return outcome_names[outcome];
}

int outcome_from_string(const char *text, Outcome *ret) {
        int i = find_name(outcome_names, ELEMENTSOF(outcome_names), text);

        if (i >= 0)
                *ret = (Outcome) i;
        return i < 0 ? i : 0;
}

const char *deployment_event_to_string(DeploymentEventKind kind) {
        return event_names[kind];
}

int deployment_event_from_string(const char *text, DeploymentEventKind *ret) {
        int i = find_name(event_names, ELEMENTSOF(event_names), text);

        if (i >= 0)
                *ret = (DeploymentEventKind) i;
        return i < 0 ? i : 0;
}

const char *step_result_to_string(StepResult result) {
        return result_names[result];
}

int step_result_from_string(const char *text, StepResult *ret) {
        int i = find_name(result_names, ELEMENTSOF(result_names), text);

        if (i >= 0)
                *ret = (StepResult) i;
        return i < 0 ? i : 0;
}

void release_ref_deinit(ReleaseRef *ref) {
        free(ref->version);
        *ref = (ReleaseRef){};
}

int release_ref_copy(ReleaseRef *to, const ReleaseRef *from) {
        int r = string_set(&to->version, from->version);

        if (r >= 0)
                memcpy(to->sha256, from->sha256, sizeof(to->sha256));
        return r;
}

bool release_ref_equal(const ReleaseRef *a, const ReleaseRef *b) {
        return string_equal(a->version, b->version) && strcmp(a->sha256, b->sha256) == 0;
}

void deployment_deinit(Deployment *deployment) {
        free(deployment->id);
        release_ref_deinit(&deployment->to);
        release_ref_deinit(&deployment->from);
        strv_free(deployment->environment);
        free(deployment->rollout);
        free(deployment->facts);
        free(deployment->boot_id);
        free(deployment->reason);
        free(deployment->rollback_reason);
        for (size_t i = 0; i < deployment->n_steps; i++) {
                free(deployment->steps[i].reason);
                free(deployment->steps[i].tail);
        }
        for (size_t i = 0; i < deployment->n_events; i++) {
                free(deployment->events[i].boot_id);
                free(deployment->events[i].reason);
        }
        *deployment = (Deployment){};
}

bool step_is_rollback(Step step) {
        return step >= STEP_ROLLBACK_BLOCK_TRAFFIC && step <= STEP_ROLLBACK_ALLOW_TRAFFIC;
}

bool deployment_is_running(const Deployment *deployment) {
        return deployment->id && deployment->outcome == OUTCOME_RUNNING;
}

bool deployment_has_changed_anything(const Deployment *deployment) {
        if (deployment->unchanged || deployment->kind == KIND_ADOPT)
                return false;
        return deployment->step > STEP_APPLICATION_STOP ||
               (deployment->step == STEP_APPLICATION_STOP && deployment->attempt > 0);
}

bool deployment_only_waits(const Deployment *deployment) {
        return deployment->kind == KIND_DEPLOY &&
               (deployment->step == STEP_HEALTH || deployment->step == STEP_ALLOW_TRAFFIC);
}

bool deployment_left_a_mixture(const Deployment *deployment) {
        return deployment->cut && deployment->kind == KIND_DEPLOY && deployment->failed_step > STEP_FETCH;
}

static StepLog *last_log(Deployment *deployment) {
        return deployment->n_steps > 0 ? &deployment->steps[deployment->n_steps - 1] : NULL;
}

static void finish(Deployment *deployment, Outcome outcome, uint64_t at) {
        deployment->step = STEP_END;
        deployment->outcome = outcome;
        deployment->finished = at;
}

static void go_to(Deployment *deployment, Step step) {
        deployment->step = step;
        deployment->step_started = false;
        deployment->attempt = 0;
        deployment->hooks_done = 0;
}

/* A drain leaves the order of a deploy where that begins to install, a prefetch where it begins to change anything; an adoption
 * passes over all of that. */
static Step next_step(const Deployment *deployment) {
        Step next = rows[deployment->step].next;

        if (deployment->step == STEP_APPLICATION_STOP && deployment->kind == KIND_DRAIN)
                next = STEP_STOP_UNITS;
        if (deployment->step == STEP_FETCH && deployment->kind == KIND_PREFETCH)
                next = STEP_END;
        if (deployment->step == STEP_FETCH && deployment->kind == KIND_ADOPT)
                next = STEP_ADOPT;
        if (deployment->step == STEP_ROLLBACK_SWITCH && !deployment->from.version)
                next = STEP_ROLLBACK_ALLOW_TRAFFIC; /* there is nothing to bring up */
        while (rows[next].traffic && !deployment->traffic)
                next = rows[next].next;
        return next;
}

/* To the step after this one, or to the end. */
static void advance(Deployment *deployment, uint64_t at) {
        Step next = next_step(deployment);

        if (next != STEP_END)
                go_to(deployment, next);
        else if (deployment->step == STEP_COMMIT || (deployment->kind != KIND_DEPLOY && !deployment->reason))
                finish(deployment, OUTCOME_SUCCEEDED, at);
        else if (deployment->kind != KIND_DEPLOY)
                finish(deployment, OUTCOME_FAILED, at);
        else if (deployment->unchanged || !deployment->from.version)
                finish(deployment, OUTCOME_FAILED, at);
        else
                finish(deployment, OUTCOME_ROLLED_BACK, at);
}

/* Whether the instance may have left its target groups in this deployment. */
static bool has_left(const Deployment *deployment) {
        return deployment->traffic && (deployment->step > STEP_BLOCK_TRAFFIC ||
                                       (deployment->step == STEP_BLOCK_TRAFFIC && deployment->attempt > 0));
}

/* Ends what a step that leads forward has begun: the whole way back, the load balancer only, or nothing at all. */
static void go_back(Deployment *deployment, uint64_t at) {
        if (deployment->kind != KIND_DEPLOY) {
                finish(deployment, OUTCOME_FAILED, at);
        } else if (deployment_has_changed_anything(deployment)) {
                go_to(deployment, deployment->traffic && deployment->step >= STEP_ALLOW_TRAFFIC
                                          ? STEP_ROLLBACK_BLOCK_TRAFFIC
                                          : STEP_ROLLBACK_STOP);
        } else if (has_left(deployment)) {
                deployment->unchanged = true;
                go_to(deployment, STEP_ROLLBACK_ALLOW_TRAFFIC);
        } else {
                finish(deployment, OUTCOME_FAILED, at);
        }
}

/* Whoever quoted or cut it: one text that is not UTF-8 would keep the whole record from being written. */
static int keep_text(char **to, const char *text) {
        int r = string_set(to, text);

        if (*to)
                utf8_make_printable(*to, strlen(*to));
        return r;
}

/* Why there is no way back, as far as it was tried. */
static int fail_rollback(Deployment *deployment, const char *reason, ErrorFault fault, uint64_t at) {
        deployment->rollback_step = deployment->step;
        deployment->rollback_fault = fault;
        finish(deployment, OUTCOME_ROLLBACK_FAILED, at);
        return keep_text(&deployment->rollback_reason, reason ? reason : "unknown");
}

/* The first reason is the one that counts: what fails while going back comes after it. */
static int blame(Deployment *deployment, const char *reason, ErrorFault fault) {
        if (deployment->reason)
                return 0;
        deployment->failed_step = deployment->step;
        deployment->fault = fault;
        return keep_text(&deployment->reason, reason ? reason : "unknown");
}

static int close_log(Deployment *deployment, StepResult result, const DeploymentEvent *event) {
        StepLog *log = last_log(deployment);
        int r;

        deployment->step_started = false;
        if (!log || log->result != STEP_RESULT_RUNNING)
                return 0;
        log->result = result;
        log->finished = event->at;
        r = keep_text(&log->reason, event->reason);
        return r < 0 ? r : keep_text(&log->tail, event->tail);
}

/* A deployment with very many repeats keeps its first steps and its last one. */
static StepLog *new_log(Deployment *deployment) {
        StepLog *log;

        if (deployment->n_steps < DEPLOYMENT_STEPS_MAX)
                return &deployment->steps[deployment->n_steps++];
        log = last_log(deployment);
        free(log->reason);
        free(log->tail);
        return log;
}

static int on_started(Deployment *deployment, const DeploymentEvent *event) {
        int r;

        if (deployment->step_started)
                return -EINVAL;
        r = string_set(&deployment->boot_id, event->boot_id);
        if (r < 0)
                return r;
        deployment->step_started = true;
        deployment->attempt++;
        *new_log(deployment) = (StepLog){
                .step = deployment->step,
                .result = STEP_RESULT_RUNNING,
                .attempt = deployment->attempt,
                .started = event->at,
        };
        return 0;
}

static int on_hook(Deployment *deployment, _unused_ const DeploymentEvent *event) {
        if (!deployment->step_started || !rows[deployment->step].lifecycle_event)
                return -EINVAL;
        deployment->hooks_done++;
        return 0;
}

static int on_succeeded(Deployment *deployment, const DeploymentEvent *event) {
        int r;

        if (!deployment->step_started)
                return -EINVAL;
        r = close_log(deployment, STEP_RESULT_SUCCEEDED, event);
        advance(deployment, event->at);
        return r;
}

static int on_failed(Deployment *deployment, const DeploymentEvent *event) {
        const StepRow *row = &rows[deployment->step];
        int r, q = 0;

        if (!deployment->step_started)
                return -EINVAL;
        r = close_log(deployment, row->tolerated ? STEP_RESULT_TOLERATED : STEP_RESULT_FAILED, event);
        if (!row->tolerated)
                q = blame(deployment, event->reason, event->fault);
        if (row->tolerated || deployment->kind == KIND_DRAIN)
                advance(deployment, event->at);
        else if (step_is_rollback(deployment->step))
                q = fail_rollback(deployment, event->reason, event->fault, event->at);
        else
                go_back(deployment, event->at);
        return r < 0 ? r : q;
}

/* Neither a rollback is cancelled nor a commit that was begun: its units may be enabled for boot already. */
static int on_cancelled(Deployment *deployment, const DeploymentEvent *event) {
        int r, q;

        if (step_is_rollback(deployment->step) ||
            (deployment->step == STEP_COMMIT && deployment->step_started))
                return -EINVAL;
        r = close_log(deployment, STEP_RESULT_INTERRUPTED, event);
        q = blame(deployment, event->reason, event->fault);
        deployment->cancelled = true;
        go_back(deployment, event->at);
        return r < 0 ? r : q;
}

static int on_cut(Deployment *deployment, const DeploymentEvent *event) {
        int r, q;

        if (deployment->step == STEP_COMMIT && deployment->step_started)
                return -EINVAL;
        r = close_log(deployment, STEP_RESULT_INTERRUPTED, event);
        q = blame(deployment, event->reason, event->fault);
        deployment->cancelled = deployment->cut = true;
        finish(deployment, OUTCOME_FAILED, event->at);
        return r < 0 ? r : q;
}

/* Hooks and units of an earlier boot are gone, so what was in the middle goes back rather than on. */
static int resume_rebooted(Deployment *deployment, const char *reason, uint64_t at) {
        int q = blame(deployment, reason, FAULT_HOST), r = 0;

        deployment->reboots++;
        if (deployment->kind == KIND_DRAIN) { /* nothing runs but what is enabled for boot */
                go_to(deployment, STEP_STOP_UNITS);
                return q;
        }
        if (step_is_rollback(deployment->step) && deployment->reboots > ROLLBACK_REBOOTS_MAX)
                r = fail_rollback(deployment,
                                  "the instance was restarted in the middle of the way back again and again",
                                  FAULT_HOST, at);
        else
                go_to(deployment, STEP_ROLLBACK_SWITCH);
        return r < 0 ? r : q;
}

/* The agent's own end is the host's fault; what ends it in the same step again and again is given up. */
static int resume_worn_out(Deployment *deployment, uint64_t at) {
        static const char reason[] = "musterd ended in the middle of this step again and again";
        int q = blame(deployment, reason, FAULT_HOST), r = 0;

        if (deployment->step == STEP_ROLLBACK_ALLOW_TRAFFIC || deployment->kind == KIND_DRAIN)
                advance(deployment, at);
        else if (step_is_rollback(deployment->step))
                r = fail_rollback(deployment, reason, FAULT_HOST, at);
        else
                go_back(deployment, at);
        return r < 0 ? r : q;
}

/* Nothing was changed. Into the load balancer the instance comes again after the end, too, if it has left it before an earlier
 * boot ended. */
static int resume_unchanged(Deployment *deployment, const char *reason, uint64_t at) {
        int q = blame(deployment, reason, FAULT_HOST);

        deployment->interrupted = true;
        finish(deployment, OUTCOME_FAILED, at);
        return q;
}

static int on_resumed(Deployment *deployment, const DeploymentEvent *event) {
        bool rebooted = !string_equal(deployment->boot_id, event->boot_id);
        bool changed = deployment_has_changed_anything(deployment);
        DeploymentEvent interrupted = *event;
        int r, q = 0;

        interrupted.reason =
                rebooted ? "the instance was restarted in the middle" : "musterd ended in the middle";
        r = close_log(deployment, STEP_RESULT_INTERRUPTED, &interrupted);
        if (deployment->kind != KIND_DRAIN && (deployment->step <= STEP_FETCH || (rebooted && !changed))) {
                q = resume_unchanged(deployment, interrupted.reason, event->at);
        } else if (rebooted) {
                q = resume_rebooted(deployment, interrupted.reason, event->at);
        } else if (deployment->attempt >= STEP_RESUMES_MAX) {
                q = resume_worn_out(deployment, event->at);
        }
        return r < 0 ? r : q;
}

/* Nothing of it is the release's fault. */
static int on_found(Deployment *deployment, const DeploymentEvent *event) {
        if (deployment->step != STEP_VERIFY || deployment->attempt > 0)
                return -EINVAL;
        deployment->cancelled = true;
        go_to(deployment, STEP_ROLLBACK_SWITCH);
        deployment->failed_step = STEP_SWITCH;
        deployment->fault = event->fault;
        return keep_text(&deployment->reason, event->reason);
}

static int on_rollback_retried(Deployment *deployment, const DeploymentEvent *event) {
        if (deployment->outcome != OUTCOME_ROLLBACK_FAILED)
                return -EINVAL;
        deployment->outcome = OUTCOME_RUNNING;
        deployment->finished = 0;
        deployment->reboots = 0;
        deployment->rollbacks++;
        go_to(deployment, STEP_ROLLBACK_SWITCH);
        (void) string_set(&deployment->rollback_reason, NULL);
        return string_set(&deployment->boot_id, event->boot_id);
}

/* BOOT_BEFORE: the deployment's, before the event. */
static int keep_event(Deployment *deployment, const DeploymentEvent *event, const char *boot_before) {
        EventLog *log = &deployment->events[deployment->n_events];
        int r = 0;

        if (deployment->n_events == DEPLOYMENT_EVENTS_MAX) {
                deployment->events_lost = true;
                return 0;
        }
        *log = (EventLog){
                .kind = event->kind,
                .at = event->at,
                .fault = event->fault,
                .then = deployment->step,
        };
        deployment->n_events++;
        if (!string_equal(event->boot_id, boot_before))
                r = string_set(&log->boot_id, event->boot_id);
        return r < 0 ? r : keep_text(&log->reason, event->reason);
}

int deployment_apply(Deployment *deployment, const DeploymentEvent *event) {
        static int (*const handlers[])(Deployment *, const DeploymentEvent *) = {
                [DEPLOYMENT_STEP_STARTED] = on_started,
                [DEPLOYMENT_HOOK_SUCCEEDED] = on_hook,
                [DEPLOYMENT_STEP_SUCCEEDED] = on_succeeded,
                [DEPLOYMENT_STEP_FAILED] = on_failed,
                [DEPLOYMENT_CANCELLED] = on_cancelled,
                [DEPLOYMENT_CUT] = on_cut,
                [DEPLOYMENT_RESUMED] = on_resumed,
                [DEPLOYMENT_FOUND] = on_found,
                [DEPLOYMENT_ROLLBACK_RETRIED] = on_rollback_retried,
        };
        _cleanup_free_ char *boot_before = NULL;
        int r, q;

        if (!deployment->id ||
            (!deployment_is_running(deployment) && event->kind != DEPLOYMENT_ROLLBACK_RETRIED))
                return -EINVAL;
        if (string_set(&boot_before, deployment->boot_id) < 0)
                return -ENOMEM;
        r = handlers[event->kind](deployment, event);
        q = r == -EINVAL ? 0 : keep_event(deployment, event, boot_before);
        return r < 0 ? r : q;
}
