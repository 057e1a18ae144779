#include <fcntl.h>
#include <pwd.h>
#include <string.h>

#include "agent/base/clock.h"
#include "agent/base/file.h"
#include "agent/base/parse.h"
#include "agent/base/strv.h"
#include "hooks/environment_file.h"
#include "hooks/hook.h"
#include "hooks/hook_command.h"
#include "hooks/hook_name.h"
#include "hooks/output.h"

/* How often the output is looked at: soon at first and after it had to be cut, then ever less. */
#define TRIM_MIN_USEC (10 * USEC_PER_MSEC)
#define TRIM_MAX_USEC (250 * USEC_PER_MSEC)

#define PASSWD_MAX 16384U /* an entry of the user database */
#define DIGEST_LINES 3U
#define DIGEST_MAX 400U

struct Hook {
        Manager *manager;
        Transient *transient;
        sd_event_source *trim, *defer;
        uint64_t trim_usec;
        char *title; /* "AfterInstall: hooks/migrate" */
        char *unit;
        char *environment_path;
        char *output_name;
        int output_dirfd; /* borrowed */
        char **argv;
        bool adopted;
        char *warning;
        char *tail;
        Error error;
        int result;
        TransientResult ended;
        HookDone done;
        void *userdata;
};

/* What the parts of a hook share while it is set up. */
typedef struct Setup {
        const HookContext *context;
        const HookScript *script;
        unsigned index;
        uid_t owner;
} Setup;

static void finish(Hook *hook, int result) {
        hook->trim = sd_event_source_disable_unref(hook->trim);
        if (hook->environment_path)
                (void) unlink(hook->environment_path);
        hook->done(hook, result, &hook->error, hook->userdata);
}

/* The fault that the outcome does not know, because it does not know what was run. */
static void blame(Hook *hook) {
        switch (hook->ended.outcome) {
        case TRANSIENT_EXIT:
        case TRANSIENT_SIGNAL:
        case TRANSIENT_TIMEOUT:
                error_blame(&hook->error, FAULT_RELEASE);
                break;
        case TRANSIENT_COULD_NOT_START:
                /* Looked at before: the script is there, and so is its interpreter. But may the user execute it? */
                if (hook->ended.status != 0)
                        error_blame(&hook->error, FAULT_RELEASE);
                break;
        default:
                error_blame(&hook->error, FAULT_HOST);
        }
}

static void quote_output(Hook *hook) {
        char digest[DIGEST_MAX];

        output_digest(hook->tail, DIGEST_LINES, digest, sizeof(digest));
        if (*digest)
                error_append(&hook->error, OUTPUT_QUOTE "%s", digest);
}

static void on_ended(Transient *transient, int result, const Error *error, void *userdata) {
        Hook *hook = userdata;
        bool trimmed;

        hook->ended = *transient_result(transient);
        hook->error = *error;
        if (result == 0 && hook->adopted && hook->ended.outcome == TRANSIENT_VANISHED) {
                finish(hook, HOOK_NOT_THERE);
                return;
        }
        (void) output_trim(hook->output_dirfd, hook->output_name, &trimmed);
        (void) output_tail(hook->output_dirfd, hook->output_name, HOOK_TAIL_MAX, &hook->tail);
        if (result == 0 && hook->ended.outcome != TRANSIENT_SUCCESS) {
                result = HOOK_FAILED;
                blame(hook);
                if (hook->tail)
                        quote_output(hook);
        }
        if (result != 0)
                error_prefix(&hook->error, "%s", hook->title);
        finish(hook, result);
}

static int on_defer(sd_event_source *source, void *userdata) {
        Hook *hook = userdata;

        (void) sd_event_source_set_enabled(source, SD_EVENT_OFF);
        error_prefix(&hook->error, "%s", hook->title);
        finish(hook, hook->result);
        return 0;
}

static int on_trim(sd_event_source *source, _unused_ uint64_t usec, void *userdata) {
        Hook *hook = userdata;
        bool trimmed = false;

        (void) output_trim(hook->output_dirfd, hook->output_name, &trimmed);
        hook->trim_usec = trimmed ? TRIM_MIN_USEC : MIN(hook->trim_usec * 2, TRIM_MAX_USEC);
        (void) sd_event_source_set_time_relative(source, hook->trim_usec);
        (void) sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
        return 0;
}

static const char *user_of(const Setup *setup) {
        return setup->script->runas && *setup->script->runas ? setup->script->runas : "root";
}

static int find_user(Hook *hook, Setup *setup) {
        _cleanup_free_ char *buffer = malloc(PASSWD_MAX);
        struct passwd user, *found = NULL;
        int problem;

        if (!buffer)
                return error_oom(&hook->error);
        problem = getpwnam_r(user_of(setup), &user, buffer, PASSWD_MAX, &found);
        if (!found && (problem == 0 || problem == ENOENT || problem == ESRCH))
                return error_set_fault(&hook->error, -ENOENT, FAULT_RELEASE,
                                       "its user (runas) %s is not on this instance", user_of(setup));
        if (!found)
                return error_set_errno(&hook->error, -problem, "cannot look up user %s", user_of(setup));
        setup->owner = user.pw_uid;
        return 0;
}

static int add_number(Buffer *buffer, const char *name, unsigned number, Error *error) {
        char text[16];

        snprintf(text, sizeof(text), "%u", number);
        return environment_file_add(buffer, name, text, error);
}

/* What the hook itself knows goes last, where it wins. */
static int add_variables(Buffer *content, const Setup *setup, Error *error) {
        const HookContext *context = setup->context;
        const char *event = lifecycle_event_to_string(context->event);
        int r;

        r = environment_file_add_all(content, context->environment, error);
        if (r >= 0)
                r = environment_file_add(content, "LIFECYCLE_EVENT", event, error);
        if (r >= 0)
                r = environment_file_add(content, "MUSTER_EVENT", event, error);
        if (r >= 0)
                r = add_number(content, "MUSTER_HOOK_INDEX", setup->index, error);
        return r < 0 ? r : add_number(content, "MUSTER_ATTEMPT", context->attempt, error);
}

static int write_environment(Hook *hook, const Setup *setup) {
        const HookContext *context = setup->context;
        _cleanup_buffer_ Buffer content = {};
        _cleanup_free_ char *name = NULL;
        int r;

        if (asprintf(&name, "%s-%s-%u-%u", context->deployment, lifecycle_event_to_string(context->event),
                     setup->index, context->attempt) < 0 ||
            buffer_reserve(&content, ENVIRONMENT_FILE_MAX) < 0) /* so that it never moves, and can be wiped */
                return error_oom(&hook->error);
        r = add_variables(&content, setup, &hook->error);
        if (r < 0) {
                explicit_bzero(content.data, content.size);
                return r;
        }
        return environment_file_write(&content, context->run_folder ? context->run_folder : HOOK_RUN_FOLDER,
                                      context->app, name, &hook->environment_path, &hook->error);
}

static int start_unit(Hook *hook, const Setup *setup) {
        const UnitProperty properties[] = {
                UNIT_BOOLEAN("IgnoreSIGPIPE",
                             false), /* as in a shell, where `yes | head` ends without a message */
        };
        _cleanup_free_ char *description = NULL;
        _cleanup_close_ int output = -1;
        TransientSpec spec = {
                .name = hook->unit,
                .type = TRANSIENT_ONESHOT,
                .argv = hook->argv,
                .environment_file = hook->environment_path,
                .user = user_of(setup), /* named for root, too: then systemd sets HOME, USER and SHELL */
                .working_directory = setup->context->release_folder,
                .timeout_usec = setup->script->timeout_usec ? setup->script->timeout_usec : HOOK_TIMEOUT_USEC,
                .stop_timeout_usec = HOOK_STOP_TIMEOUT_USEC,
                .adopt = true,
                .properties = properties,
                .n_properties = ELEMENTSOF(properties),
        };

        if (asprintf(&description, "%s hook %s of %s", lifecycle_event_to_string(setup->context->event),
                     setup->script->location, setup->context->app) < 0)
                return error_oom(&hook->error);
        output = output_open(setup->context->output_dirfd, hook->output_name, setup->owner, &hook->error);
        if (output < 0)
                return output;
        spec.description = description;
        spec.stdout_fd = spec.stderr_fd = output;
        return transient_start(hook->manager, &spec, on_ended, hook, &hook->transient, &hook->error);
}

static int make_names(Hook *hook, const Setup *setup, Error *error) {
        const HookContext *context = setup->context;
        const char *event = lifecycle_event_to_string(context->event);
        int r;

        if (!name_is_valid(context->app) || !name_is_valid(context->deployment))
                return error_set(error, -EINVAL, "'%s' or '%s' is not a name", context->app,
                                 context->deployment);
        if (strlen(setup->script->location) > HOOK_LOCATION_MAX)
                return error_set_fault(error, -ENAMETOOLONG, FAULT_RELEASE,
                                       "%s: a hook's location has more than %u bytes", event,
                                       HOOK_LOCATION_MAX);
        r = hook_unit_name(context->app, context->deployment, context->event, setup->index, context->attempt,
                           &hook->unit);
        if (r == -ENAMETOOLONG)
                return error_set(error, r, "%s: the names of app and deployment are too long for a unit",
                                 event);
        if (r < 0 || asprintf(&hook->title, "%s: %s", event, setup->script->location) < 0 ||
            asprintf(&hook->output_name, "%s-%u-%u.log", event, setup->index, context->attempt) < 0)
                return error_oom(error);
        return 0;
}

static int set_up(Hook *hook, Setup *setup) {
        const char *warning = NULL;
        int r;

        r = hook_command_make(setup->context->release_dirfd, setup->context->release_folder, setup->script,
                              &hook->argv, &warning, &hook->error);
        if (r >= 0 && warning && asprintf(&hook->warning, "%s: %s", hook->title, warning) < 0)
                r = error_oom(&hook->error);
        if (r >= 0)
                r = find_user(hook, setup);
        if (r >= 0)
                r = write_environment(hook, setup);
        return r < 0 ? r : start_unit(hook, setup);
}

/* What systemd has read of it is not needed any more, whoever wrote it. */
static int find_environment(Hook *hook, const Setup *setup) {
        const HookContext *context = setup->context;

        if (asprintf(&hook->environment_path, "%s/%s/%s-%s-%u-%u.env",
                     context->run_folder ? context->run_folder : HOOK_RUN_FOLDER, context->app,
                     context->deployment, lifecycle_event_to_string(context->event), setup->index,
                     context->attempt) < 0) {
                hook->environment_path = NULL;
                return error_oom(&hook->error);
        }
        return 0;
}

static int adopt(Hook *hook, Setup *setup) {
        uint64_t timeout = setup->script->timeout_usec ? setup->script->timeout_usec : HOOK_TIMEOUT_USEC;
        int r;

        hook->adopted = true;
        r = find_environment(hook, setup);
        return r < 0 ? r
                     : transient_adopt(hook->manager, hook->unit, timeout, on_ended, hook, &hook->transient,
                                       &hook->error);
}

static int hook_new(Manager *manager, const Setup *setup, HookDone done, void *userdata, Hook **ret,
                    Error *error) {
        _cleanup_(hook_freep) Hook *hook = NULL;
        int r;

        hook = calloc(1, sizeof(*hook));
        if (!hook)
                return error_oom(error);
        hook->manager = manager;
        hook->output_dirfd = setup->context->output_dirfd;
        hook->trim_usec = TRIM_MIN_USEC;
        hook->done = done;
        hook->userdata = userdata;
        r = make_names(hook, setup, error);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(hook);
        return 0;
}

/* R is how setting it up ended. */
static int watch(Hook *hook, int r, Hook **ret, Error *error) {
        sd_event *event = manager_event(hook->manager);

        if (r < 0) {
                hook->result = hook->error.fault == FAULT_RELEASE ? HOOK_FAILED : r;
                r = sd_event_add_defer(event, &hook->defer, on_defer, hook);
        } else {
                r = sd_event_add_time_relative(event, &hook->trim, CLOCK_BOOTTIME, hook->trim_usec,
                                               TIMER_ACCURACY_EXACT, on_trim, hook);
        }
        if (r < 0) {
                hook_free(hook);
                return error_set_errno(error, r, "cannot add to the event loop");
        }
        *ret = hook;
        return 0;
}

int hook_start(Manager *manager, const HookContext *context, const HookScript *script, unsigned index,
               HookDone done, void *userdata, Hook **ret, Error *error) {
        Setup setup = { .context = context, .script = script, .index = index };
        Hook *hook;
        int r;

        r = hook_new(manager, &setup, done, userdata, &hook, error);
        return r < 0 ? r : watch(hook, set_up(hook, &setup), ret, error);
}

int hook_adopt(Manager *manager, const HookContext *context, const HookScript *script, unsigned index,
               HookDone done, void *userdata, Hook **ret, Error *error) {
        Setup setup = { .context = context, .script = script, .index = index };
        Hook *hook;
        int r;

        r = hook_new(manager, &setup, done, userdata, &hook, error);
        return r < 0 ? r : watch(hook, adopt(hook, &setup), ret, error);
}

const char *hook_unit(const Hook *hook) {
        return hook->unit;
}

const char *hook_output_tail(const Hook *hook) {
        return hook->tail ? hook->tail : "";
}

const char *hook_warning(const Hook *hook) {
        return hook->warning;
}

const TransientResult *hook_result(const Hook *hook) {
        return &hook->ended;
}

Hook *hook_free(Hook *hook) {
        if (!hook)
                return NULL;
        transient_free(hook->transient);
        sd_event_source_disable_unref(hook->trim);
        sd_event_source_disable_unref(hook->defer);
        free(hook->title);
        free(hook->unit);
        free(hook->environment_path);
        free(hook->output_name);
        strv_free(hook->argv);
        free(hook->warning);
        free(hook->tail);
        free(hook);
        return NULL;
}
