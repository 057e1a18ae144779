#include <stdarg.h>
#include <string.h>

#include "agent/base/clock.h"
#include "agent/base/log.h"
#include "agent/base/strv.h"
#include "agent/base/utf8.h"
#include "agent/hook_completion.h"
#include "agent/launch.h"
#include "agent/launch_beat.h"
#include "agent/launch_find.h"
#include "agent/launch_record.h"
#include "agent/messages.h"

struct Launch {
        LaunchContext context;
        LaunchChanged changed;
        void *userdata;
        LaunchRecord record;
        LifecycleHooks hooks; /* those of the record, with what the group says of them */
        char *failure;        /* the reason of an app that failed, while it is uploaded */
        bool gives_up;        /* once that is done */
        bool failure_is_told; /* where nothing follows from it */
        char *missing;  /* why the group will hear nothing: the hook that was named is none of its own */
        bool has_group; /* in all likelihood */
        bool alarmed;   /* because it cannot be asked */
        LaunchFind *find;
        LaunchBeat *beat;
        FailureUpload *upload;
        HookCompletion *completion;
};

static void log_launch(const Launch *launch, int priority, const char *message_id, const char *format, ...)
        _printf_(4, 5);

static void log_launch(const Launch *launch, int priority, const char *message_id, const char *format, ...) {
        const LogFields fields = { .event = "LAUNCH", .instance = launch->context.identity->instance };
        char text[ERROR_MESSAGE_MAX + 256];
        va_list arguments;

        va_start(arguments, format);
        (void) vsnprintf(text, sizeof(text), format, arguments);
        va_end(arguments);
        log_message(priority, message_id, &fields, "%s", text);
}

/* Where it cannot be written it is decided and told again after a restart, which settles the same way. */
static void keep(Launch *launch) {
        Error error = {};

        (void) string_set(&launch->record.boot_id, launch->context.boot_id);
        if (launch_record_save(launch->context.state_fd, &launch->record, &error) < 0)
                log_launch(launch, LOG_WARNING, NULL, "%s", error.message);
}

static void set_state(Launch *launch, LaunchState state, const char *reason) {
        if (state == launch->record.state)
                return;
        launch->record.state = state;
        launch->record.since = clock_realtime(&clock_system);
        (void) string_set(&launch->record.reason, reason);
        keep(launch);
        launch_beat_hold(launch->beat, state == LAUNCH_HOLDING);
        if (!launch_is_open(state)) { /* nobody needs to know its hooks any more */
                launch_beat_end(launch->beat);
                launch_find_stop(launch->find);
        }
        launch->changed(launch->userdata);
}

/* Telling the group. */

static char *hook_names(const Launch *launch) {
        _cleanup_buffer_ Buffer names = {};

        STRV_FOREACH(hook, launch->record.hooks)
                (void) buffer_printf(&names, "%s%s", names.size > 0 ? ", " : "", *hook);
        return strdup(buffer_string(&names));
}

static void log_settled(const Launch *launch) {
        _cleanup_free_ char *names = hook_names(launch);
        const char *hooks = names ? names : "-";

        if (launch->record.state == LAUNCH_CONTINUED)
                log_launch(launch, LOG_NOTICE, MESSAGE_LAUNCH_COMPLETED,
                           "lifecycle hook %s completed: the instance may enter service", hooks);
        else if (launch->record.state == LAUNCH_ABANDONED)
                log_launch(launch, LOG_ERR, MESSAGE_LAUNCH_ABANDONED, "lifecycle hook %s abandoned: %s",
                           hooks, launch->record.reason ? launch->record.reason : "unknown");
        else if (launch->missing)
                log_launch(launch, LOG_ERR, NULL, "lifecycle hook %s was not completed: %s", hooks,
                           launch->missing);
        else
                log_launch(launch, LOG_WARNING, NULL,
                           "lifecycle hook %s is over: it timed out, or somebody else completed it", hooks);
}

static void on_settled(_unused_ HookCompletion *completion, LifecycleSettled settled, void *userdata) {
        Launch *launch = userdata;
        const char *why = launch->missing ? launch->missing : launch->record.reason;
        _cleanup_free_ char *reason = why ? strdup(why) : NULL;
        LaunchState told = launch->record.state == LAUNCH_ABANDON ? LAUNCH_ABANDONED : LAUNCH_CONTINUED;
        bool heard = settled == LIFECYCLE_HEARD && !launch->missing;

        launch->completion = hook_completion_free(launch->completion);
        set_state(launch, heard ? told : LAUNCH_OVER, reason);
        log_settled(launch);
}

static void on_completion_news(HookCompletion *completion, void *userdata) {
        Launch *launch = userdata;
        size_t n = hook_completion_heard(completion);

        if (n > launch->record.n_heard) {
                launch->record.n_heard = n;
                keep(launch);
        }
        launch->changed(launch->userdata);
}

static void complete(Launch *launch) {
        const HookCompletionSpec spec = {
                .event = launch->context.event,
                .aws = launch->context.aws,
                .transition = LIFECYCLE_LAUNCHING,
                .verdict =
                        launch->record.state == LAUNCH_ABANDON ? AUTOSCALING_ABANDON : AUTOSCALING_CONTINUE,
                .group = launch->record.group,
                .instance = launch->context.identity->instance,
                .hooks = launch->record.hooks,
                .first = launch->record.n_heard,
        };
        Error error = {};

        if (launch->completion) /* begun by launch_update(), which set_state() may lead to */
                return;
        if (hook_completion_start(&spec, on_settled, on_completion_news, launch, &launch->completion,
                                  &error) < 0)
                log_launch(launch, LOG_ERR, NULL, "%s", error.message); /* launch_update() tries again */
}

/* Saying why, first. */

static void hold_instance(Launch *launch, const char *reason, const char *why) {
        char text[ERROR_MESSAGE_MAX];

        utf8_format(text, sizeof(text), "%s; the instance is not replaced but held: %s", reason, why);
        set_state(launch, LAUNCH_HOLDING, text);
        log_launch(launch, LOG_ERR, MESSAGE_LAUNCH_HOLDING, "%s", text);
}

static void give_up(Launch *launch, const char *reason) {
        set_state(launch, LAUNCH_ABANDON, reason);
        complete(launch);
}

static void on_uploaded(FailureUpload *upload, bool hold, void *userdata) {
        Launch *launch = userdata;
        _cleanup_free_ char *reason = TAKE_PTR(launch->failure), *why = NULL;

        why = strdup(failure_upload_remark(upload));
        launch->upload = failure_upload_free(upload);
        launch->failure_is_told = !launch->gives_up;
        if (!launch->gives_up)
                launch->changed(launch->userdata);
        else if (hold)
                hold_instance(launch, reason ? reason : "unknown", why ? why : "unknown");
        else
                give_up(launch, reason);
}

/* GIVES_UP: and then the group. */
static void say_why(Launch *launch, const char *reason, bool gives_up) {
        Error error = {};

        if (gives_up && !launch->gives_up)
                launch->upload = failure_upload_free(launch->upload); /* of something that only hung */
        launch->gives_up = gives_up;
        (void) string_set(&launch->failure, reason);
        if (launch->upload ||
            launch->context.upload(launch->userdata, on_uploaded, launch, &launch->upload, &error) >= 0)
                return;
        log_launch(launch, LOG_WARNING, NULL, "the depot is not told why: %s", error.message);
        launch->failure_is_told = true;
        if (gives_up)
                give_up(launch, reason);
}

/* Being held. */

static void begin_beats(Launch *launch) {
        launch_beat_hold(launch->beat, launch->record.state == LAUNCH_HOLDING);
        launch_beat_begin(launch->beat, launch->record.group, &launch->hooks, launch->record.held_at);
}

static void wait_for_apps(Launch *launch) {
        launch->record.held_at = clock_boottime(&clock_system);
        launch->record.n_heard = 0;
        begin_beats(launch);
        set_state(launch, LAUNCH_WAITING, NULL); /* which may be told at once what the apps have come to */
}

static int name_hooks(Launch *launch) {
        int r = 0;

        launch->record.hooks = strv_free(launch->record.hooks);
        for (size_t i = 0; i < launch->hooks.n && r >= 0; i++)
                r = strv_append(&launch->record.hooks, launch->hooks.items[i].name);
        return r;
}

/* None of ours among the group's: one that was named stays, and is tried all the same. */
static void take_no_hooks(Launch *launch, const char *remark) {
        if (launch->record.state != LAUNCH_NONE) {
                log_launch(launch, LOG_WARNING, NULL, "launch: %s", remark);
                (void) string_set(&launch->missing, remark);
                return;
        }
        log_launch(launch, LOG_NOTICE, NULL, "launch: no lifecycle action is completed: %s", remark);
        (void) string_set(&launch->record.reason, remark);
        launch->changed(launch->userdata);
}

static void take_hooks(Launch *launch) {
        launch_beat_end(launch->beat);
        (void) string_set(&launch->missing, NULL);
        lifecycle_hooks_deinit(&launch->hooks);
        launch->hooks = launch_find_take_hooks(launch->find);
        if (launch->record.state == LAUNCH_NONE && name_hooks(launch) >= 0)
                wait_for_apps(launch);
        else if (launch_is_open(launch->record.state))
                begin_beats(launch);
}

/* A hook that was named is known without asking for the group's, which only tell its time-outs. */
static void on_held(Launch *launch) {
        const char *hook = launch->context.config->launch_hook;

        launch->record.state = LAUNCH_NONE;
        lifecycle_hooks_deinit(&launch->hooks);
        if (string_set(&launch->record.group, launch_find_group(launch->find)) >= 0 &&
            launch_find_is_named(hook) && lifecycle_hooks_add(&launch->hooks, hook) >= 0 &&
            name_hooks(launch) >= 0)
                wait_for_apps(launch);
}

/* Whether nobody can be asked by what the instance is held, although something will. */
static bool is_deaf(const Launch *launch) {
        return launch->record.state == LAUNCH_NONE && launch->has_group &&
               launch_find_is_alarming(launch->find);
}

static void sound_alarm(Launch *launch) {
        if (is_deaf(launch) && !launch->alarmed)
                log_launch(
                        launch, LOG_ERR, MESSAGE_LAUNCH_UNDELIVERED,
                        "the group cannot be asked what holds this instance, nor be told that it is ready: %s",
                        launch_find_problem(launch->find));
        launch->alarmed = is_deaf(launch);
}

static void on_found(LaunchFind *find, LaunchFinding finding, void *userdata) {
        Launch *launch = userdata;

        sound_alarm(launch);
        switch (finding) {
        case LAUNCH_FOUND_FREE:
                keep(launch); /* asked in this boot */
                break;
        case LAUNCH_FOUND_HELD:
                on_held(launch);
                break;
        case LAUNCH_FOUND_HOOKS:
                take_hooks(launch);
                break;
        case LAUNCH_FOUND_NO_HOOKS:
                take_no_hooks(launch, launch_find_remark(find));
                break;
        case LAUNCH_FOUND_PROBLEM:
                launch->changed(launch->userdata);
                break;
        }
}

/* Beginning. */

static bool is_auto_scaling_instance(const char *instance) {
        return string_starts_with(instance, "i-");
}

/* By default the group is asked only where there may be one; nobody else's endpoint hears of instances that EC2 did not
 * name. */
static bool is_wanted(const LaunchContext *context) {
        const char *hook = context->config->launch_hook;

        if (!context->aws || string_equal(hook, LIFECYCLE_HOOK_NONE))
                return false;
        return launch_find_is_named(hook) || is_auto_scaling_instance(context->identity->instance);
}

/* What a musterd before this one knew, seen with the configuration of now. */
static int take_up_record(Launch *launch) {
        const Config *config = launch->context.config;
        LaunchRecord *record = &launch->record;
        int r = 0;

        if (config->launch_group)
                r = string_set(&record->group, config->launch_group);
        else if (!record->group)
                r = string_set(&record->group, launch->context.identity->scaling_group);
        if (!string_equal(record->boot_id, launch->context.boot_id))
                record->held_at = 0;
        if (r >= 0 && launch_find_is_named(config->launch_hook) && record->state != LAUNCH_NONE &&
            (strv_length(record->hooks) != 1 || strcmp(record->hooks[0], config->launch_hook) != 0)) {
                record->hooks = strv_free(record->hooks);
                record->n_heard = 0;
                r = strv_append(&record->hooks, config->launch_hook);
        }
        if ((launch_is_open(record->state) || launch_must_complete(record->state)) &&
            (!record->group || record->n_heard >= strv_length(record->hooks)))
                record->state = LAUNCH_NONE; /* it is found out, and decided, again */
        STRV_FOREACH(hook, record->hooks)
                if (r >= 0)
                        r = lifecycle_hooks_add(&launch->hooks, *hook);
        return r;
}

static void begin(Launch *launch) {
        if (launch_must_look(&launch->record, launch->context.boot_id)) {
                launch_find_look(launch->find);
        } else if (launch_must_complete(launch->record.state)) {
                complete(launch);
        } else if (launch_is_open(launch->record.state)) {
                begin_beats(launch);
                (void) launch_find_look_for_hooks(launch->find, launch->record.group);
        }
}

static int prepare(Launch *launch, Error *error) {
        const LaunchContext *context = &launch->context;
        const LaunchBeatContext beat = {
                .event = context->event,
                .clock = &clock_system,
                .aws = context->aws,
                .instance = context->identity->instance,
                .interval = context->config->heartbeat_interval,
        };
        const LaunchFindContext find = {
                .event = context->event,
                .aws = context->aws,
                .instance = context->identity->instance,
                .hook = context->config->launch_hook,
                .group = context->config->launch_group,
        };
        int r;

        r = launch_record_load(context->state_fd, context->identity->instance, &launch->record, error);
        if (r < 0)
                return r;
        if (take_up_record(launch) < 0)
                return error_oom(error);
        r = launch_beat_new(&beat, &launch->beat, error);
        if (r < 0)
                return r;
        return launch_find_new(&find, on_found, launch, &launch->find, error);
}

int launch_new(const LaunchContext *context, LaunchChanged changed, void *userdata, Launch **ret,
               Error *error) {
        _cleanup_(launch_freep) Launch *launch = NULL;
        int r;

        launch = calloc(1, sizeof(*launch));
        if (!launch)
                return error_oom(error);
        launch->context = *context;
        launch->changed = changed;
        launch->userdata = userdata;
        r = prepare(launch, error);
        if (r < 0)
                return r;
        launch->has_group =
                context->identity->scaling_group || launch_find_is_named(context->config->launch_hook);
        if (is_wanted(context))
                begin(launch);
        *ret = TAKE_PTR(launch);
        return 0;
}

Launch *launch_free(Launch *launch) {
        if (!launch)
                return NULL;
        launch_find_free(launch->find);
        launch_beat_free(launch->beat);
        failure_upload_free(launch->upload);
        hook_completion_free(launch->completion);
        lifecycle_hooks_deinit(&launch->hooks);
        launch_record_deinit(&launch->record);
        free(launch->failure);
        free(launch->missing);
        free(launch);
        return NULL;
}

void launch_look_again(Launch *launch) {
        if (!is_wanted(&launch->context) || launch->completion || launch->upload ||
            launch_is_open(launch->record.state) || launch_find_is_asking(launch->find))
                return;
        launch_find_stop(launch->find);
        launch_find_look(launch->find);
}

void launch_end(Launch *launch, const char *reason) {
        if (launch_is_open(launch->record.state) && !launch->upload)
                set_state(launch, LAUNCH_OVER, reason);
}

void launch_expect_group(Launch *launch) {
        launch->has_group = true;
        sound_alarm(launch);
}

static const char *reason_of(const LaunchApp *apps, size_t n, AppReadiness readiness) {
        for (size_t i = 0; i < n; i++)
                if (apps[i].readiness == readiness)
                        return apps[i].reason;
        return NULL;
}

/* An app that is on its way and waits to be tried again is as far as it was. */
static void note_progress(Launch *launch, const LaunchApp *apps, size_t n) {
        for (size_t i = 0; i < n; i++)
                if (apps[i].work.release_sha256 || apps[i].readiness != APP_ON_ITS_WAY)
                        launch_beat_note(launch->beat, i, &apps[i].work);
}

/* The depot is told where the instance is likely to go, by our word or because of our silence: what has failed, or why
 * nothing gets on. NULL: there is nothing to tell. */
static const char *what_to_say(const Launch *launch, LaunchState decided, const LaunchApp *apps, size_t n) {
        bool abandons = launch->context.config->launch_failure == LAUNCH_FAILURE_ABANDON;
        const char *failure = reason_of(apps, n, APP_FAILED);

        if (!launch_is_open(launch->record.state))
                return NULL;
        if (decided == LAUNCH_ABANDON)
                return failure;
        if (decided == LAUNCH_WAITING && !failure && launch_beat_is_silent(launch->beat))
                return reason_of(apps, n, APP_ON_ITS_WAY);
        return abandons ? NULL : failure;
}

static void say_what_is_wrong(Launch *launch, LaunchState decided, const LaunchApp *apps, size_t n) {
        const char *text = what_to_say(launch, decided, apps, n);

        if (!text) {
                launch->failure_is_told = false;
                if (launch_is_open(launch->record.state))
                        launch->upload = failure_upload_free(launch->upload);
        } else if (decided == LAUNCH_ABANDON || !launch->failure_is_told) {
                say_why(launch, text, decided == LAUNCH_ABANDON);
        }
}

void launch_update(Launch *launch, const LaunchApp *apps, size_t n) {
        AppReadiness required[CONFIG_APPS_MAX] = {};
        LaunchState state;

        for (size_t i = 0; i < n; i++)
                required[i] = apps[i].readiness;
        note_progress(launch, apps, n);
        state = launch_decide(launch->record.state, required, n,
                              (LaunchFailure) launch->context.config->launch_failure);
        say_what_is_wrong(launch, state, apps, n);
        if (state == LAUNCH_ABANDON && launch_is_open(launch->record.state))
                return; /* not before the depot was told */
        if (state != launch->record.state)
                set_state(launch, state, NULL);
        if (launch_must_complete(launch->record.state))
                complete(launch);
}

LaunchState launch_state(const Launch *launch) {
        return launch->record.state;
}

const char *launch_group(const Launch *launch) {
        return launch->record.group;
}

char *const *launch_hooks(const Launch *launch) {
        return launch->record.hooks;
}

const char *launch_reason(const Launch *launch) {
        const char *problem = launch->completion ? hook_completion_problem(launch->completion) : "";

        if (*problem)
                return problem;
        if (*launch_find_problem(launch->find))
                return launch_find_problem(launch->find);
        if (launch_is_open(launch->record.state) && *launch_beat_remark(launch->beat))
                return launch_beat_remark(launch->beat);
        return launch->record.reason ? launch->record.reason : "";
}

const char *launch_undelivered(const Launch *launch, uint64_t *ret_since, bool *ret_alarm) {
        const char *problem = launch->completion ? hook_completion_problem(launch->completion) : "";
        bool deaf = is_deaf(launch);

        *ret_since = deaf ? launch_find_failing_since(launch->find) : launch->record.since;
        if (ret_alarm)
                *ret_alarm = deaf || (launch->completion && hook_completion_is_alarming(launch->completion));
        if (deaf)
                return launch_find_problem(launch->find);
        if (!launch_must_complete(launch->record.state))
                return NULL;
        return *problem ? problem : "it is on its way";
}
