#include <string.h>

#include "agent/base/clock.h"
#include "agent/base/strv.h"
#include "hooks/environment_file.h"
#include "hooks/health.h"
#include "hooks/health_track.h"
#include "hooks/hook.h"
#include "hooks/probe.h"

typedef struct Check {
        HealthCheck settings; /* texts owned */
        HealthTrack track;
        Probe *probe;
        char *name;
} Check;

struct Health {
        Manager *manager;
        HealthContext context; /* texts owned */
        ProbeContext probes;
        HttpClient *http; /* of its own: its connections end with the checks */
        char *environment_path;
        Check *checks;
        HealthTrack *tracks; /* of the checks, side by side */
        size_t n;
        sd_event_source *timer;
        bool ended; /* there is a verdict; attempts that run outside are waited for */
        int result;
        Error error;
        HealthDone done;
        void *userdata;
};

static void step(Health *health);

static uint64_t now_of(Health *health) {
        uint64_t now = 0;

        (void) sd_event_now(manager_event(health->manager), CLOCK_BOOTTIME, &now);
        return now;
}

static void report(Health *health) {
        health->done(health, health->result, &health->error, health->userdata);
}

static bool has_running_probes(const Health *health) {
        for (size_t i = 0; i < health->n; i++)
                if (health->checks[i].probe)
                        return true;
        return false;
}

static void on_probe(Probe *probe, const Error *error, void *userdata) {
        Health *health = userdata;
        unsigned i = probe->number;

        health_track_end(&health->tracks[i], error);
        health->checks[i].probe = probe_free(probe);
        if (!health->ended)
                step(health);
        else if (!has_running_probes(health))
                report(health);
}

static void start_probe(Health *health, unsigned i, uint64_t now) {
        Error error = {};

        health_track_begin(&health->tracks[i], now);
        if (probe_start(&health->probes, &health->checks[i].settings, i, on_probe, health,
                        &health->checks[i].probe, &error) < 0)
                health_track_end(&health->tracks[i], &error);
}

/* "GET http://…: status 503, expected 200; 14 of 14 attempts failed; unit api.service: …" */
static void explain(Health *health) {
        ErrorFault fault = FAULT_HOST;

        health->error.message[0] = '\0';
        for (size_t i = 0; i < health->n; i++) {
                char text[HEALTH_REASON_MAX + 64];

                if (health_track_is_healthy(&health->tracks[i]))
                        continue;
                if (health->tracks[i].fault != FAULT_HOST)
                        fault = FAULT_RELEASE;
                health_track_describe(&health->tracks[i], text, sizeof(text));
                error_append(&health->error, "%s%s: %s", health->error.message[0] ? "; " : "",
                             health->checks[i].name, text);
        }
        error_blame(&health->error, fault);
}

static void end(Health *health, HealthVerdict verdict) {
        health->ended = true;
        (void) sd_event_source_set_enabled(health->timer, SD_EVENT_OFF);
        if (verdict == HEALTH_DEADLINE_MISSED) {
                health->result = HEALTH_UNHEALTHY;
                explain(health);
        }
        for (size_t i = 0; i < health->n; i++)
                if (health->checks[i].probe && !probe_abort(health->checks[i].probe))
                        health->checks[i].probe = probe_free(health->checks[i].probe);
        if (!has_running_probes(health))
                report(health);
}

static void step(Health *health) {
        uint64_t now = now_of(health), next;
        HealthVerdict verdict;

        for (unsigned i = 0; i < health->n; i++)
                if (health_track_is_due(&health->tracks[i], now))
                        start_probe(health, i, now);
        verdict = health_judge(health->tracks, health->n, now);
        if (verdict != HEALTH_GOES_ON) {
                end(health, verdict);
                return;
        }
        next = health_next_wakeup(health->tracks, health->n, now);
        (void) sd_event_source_set_time(health->timer, next);
        (void) sd_event_source_set_enabled(health->timer,
                                           next == USEC_INFINITY ? SD_EVENT_OFF : SD_EVENT_ONESHOT);
}

static int on_timer(_unused_ sd_event_source *source, _unused_ uint64_t usec, void *userdata) {
        step(userdata);
        return 0;
}

static int copy_strv(char *const *from, char *const **to) {
        int r = 0;

        for (; r >= 0 && from && *from; from++)
                r = strv_append((char ***) to, *from);
        return r;
}

static int copy_check(Check *to, const HealthCheck *from) {
        HealthCheck *settings = &to->settings;

        *settings = *from;
        settings->url = settings->body = settings->header = NULL;
        settings->address = settings->runas = settings->unit = NULL;
        settings->command = NULL;
        if (string_set((char **) &settings->url, from->url) < 0 ||
            string_set((char **) &settings->body, from->body) < 0 ||
            string_set((char **) &settings->header, from->header) < 0 ||
            string_set((char **) &settings->address, from->address) < 0 ||
            string_set((char **) &settings->runas, from->runas) < 0 ||
            string_set((char **) &settings->unit, from->unit) < 0 ||
            copy_strv(from->command, &settings->command) < 0)
                return -ENOMEM;
        return probe_name(settings, &to->name);
}

static int copy_checks(Health *health, const HealthCheck *checks, size_t n, uint64_t now) {
        health->checks = calloc(n + 1, sizeof(*health->checks));
        health->tracks = calloc(n + 1, sizeof(*health->tracks));
        if (!health->checks || !health->tracks)
                return -ENOMEM;
        health->n = n;
        for (size_t i = 0; i < n; i++) {
                int r = copy_check(&health->checks[i], &checks[i]);

                if (r < 0)
                        return r;
                health_track_init(&health->tracks[i], &checks[i], now);
        }
        return 0;
}

static int copy_context(Health *health, const HealthContext *from) {
        HealthContext *to = &health->context;

        if (string_set((char **) &to->app, from->app) < 0 ||
            string_set((char **) &to->deployment, from->deployment) < 0 ||
            string_set((char **) &to->release_folder, from->release_folder) < 0)
                return -ENOMEM;
        return 0;
}

static bool has_type(const Health *health, HealthType type) {
        for (size_t i = 0; i < health->n; i++)
                if (health->checks[i].settings.type == type)
                        return true;
        return false;
}

static int write_environment(Health *health, const HealthContext *context, Error *error) {
        _cleanup_buffer_ Buffer content = {};
        _cleanup_free_ char *name = NULL;
        int r;

        if (asprintf(&name, "%s-health", context->deployment) < 0 ||
            buffer_reserve(&content, ENVIRONMENT_FILE_MAX) < 0)
                return error_oom(error);
        r = environment_file_add_all(&content, context->environment, error);
        if (r < 0) {
                explicit_bzero(content.data, content.size);
                return r;
        }
        return environment_file_write(&content, context->run_folder ? context->run_folder : HOOK_RUN_FOLDER,
                                      context->app, name, &health->environment_path, error);
}

static int prepare(Health *health, const HealthContext *context, Error *error) {
        int r = 0;

        if (has_type(health, HEALTH_HTTP))
                r = http_client_new(manager_event(health->manager), &(HttpOptions){}, &health->http, error);
        if (r >= 0 && has_type(health, HEALTH_COMMAND))
                r = write_environment(health, context, error);
        health->probes = (ProbeContext){
                .manager = health->manager,
                .http = health->http,
                .health = &health->context,
                .environment_file = health->environment_path,
        };
        return r;
}

int health_start(Manager *manager, const HealthContext *context, const HealthCheck *checks, size_t n_checks,
                 HealthDone done, void *userdata, Health **ret, Error *error) {
        _cleanup_(health_freep) Health *health = NULL;
        int r;

        if (n_checks > HEALTH_CHECKS_MAX)
                return error_set_fault(error, -E2BIG, FAULT_RELEASE, "more than %u health checks",
                                       HEALTH_CHECKS_MAX);
        health = calloc(1, sizeof(*health));
        if (!health)
                return error_oom(error);
        health->manager = manager;
        health->done = done;
        health->userdata = userdata;
        if (copy_context(health, context) < 0 || copy_checks(health, checks, n_checks, now_of(health)) < 0)
                return error_oom(error);
        r = prepare(health, context, error);
        if (r < 0)
                return r;
        r = sd_event_add_time_relative(manager_event(manager), &health->timer, CLOCK_BOOTTIME, 0,
                                       TIMER_ACCURACY_EXACT, on_timer, health);
        if (r < 0)
                return error_set_errno(error, r, "cannot set a timer");
        *ret = TAKE_PTR(health);
        return 0;
}

static void check_deinit(Check *check) {
        HealthCheck *settings = &check->settings;

        probe_free(check->probe);
        free(check->name);
        free((char *) settings->url);
        free((char *) settings->body);
        free((char *) settings->header);
        free((char *) settings->address);
        free((char *) settings->runas);
        free((char *) settings->unit);
        strv_free((char **) settings->command);
}

Health *health_free(Health *health) {
        if (!health)
                return NULL;
        sd_event_source_disable_unref(health->timer);
        for (size_t i = 0; i < health->n; i++)
                check_deinit(&health->checks[i]);
        http_client_free(health->http);
        if (health->environment_path)
                (void) unlink(health->environment_path);
        free(health->environment_path);
        free(health->checks);
        free(health->tracks);
        free((char *) health->context.app);
        free((char *) health->context.deployment);
        free((char *) health->context.release_folder);
        free(health);
        return NULL;
}

size_t health_reports(const Health *health, HealthReport *reports, size_t n_reports) {
        size_t n = MIN(n_reports, health->n);

        for (size_t i = 0; i < n; i++)
                reports[i] = (HealthReport){
                        .name = health->checks[i].name,
                        .reason = health->tracks[i].reason,
                        .attempts = health->tracks[i].attempts,
                        .failures = health->tracks[i].failures,
                        .healthy = health_track_is_healthy(&health->tracks[i]),
                };
        return n;
}
