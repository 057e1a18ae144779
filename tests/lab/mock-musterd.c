/* Serves org.muster.Agent1 as musterd does (agent/bus.h), out of a folder: for tests of the command line.
 *
 *   mock-musterd FOLDER
 *
 * Reads status.json, history.json (what GetStatus and GetHistory answer), refuse (then DeployLocal fails with -EBUSY and this
 * sentence), plan (how a deployment goes: a step a line, "succeeded" or "failed REASON" at the end). Writes release.json and
 * archive (what DeployLocal was given), polled and pinned. */

#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <systemd/sd-event.h>

#include "agent/base/clock.h"
#include "agent/base/file.h"
#include "agent/base/strv.h"
#include "agent/bus.h"

#define STEP_TIME (50 * USEC_PER_MSEC)
#define FILE_MAX (64U * 1024 * 1024)
#define DEPLOYMENT "d-mock-1"

typedef struct Mock {
        sd_event *event;
        BusService *bus;
        int folder;
        char *app, *version;
        char **plan;
        size_t next;   /* of the plan's lines */
        char *outcome; /* NULL while it runs */
        char *reason;
} Mock;

static char *read_text(const Mock *mock, const char *name) {
        _cleanup_buffer_ Buffer content = {};
        char *text;
        size_t size;

        if (file_read_at(mock->folder, name, FILE_MAX, &content) < 0 ||
            buffer_steal(&content, &text, &size) < 0)
                return NULL;
        return text;
}

static int on_status(void *userdata, _unused_ bool with_output, char **ret, Error *error) {
        *ret = read_text(userdata, "status.json");
        return *ret ? 0 : error_set(error, -ENOENT, "there is no status.json");
}

/* The history of the file, or of the deployment that was asked for. */
static int on_history(void *userdata, const char *app, size_t limit, _unused_ bool with_output, char **ret,
                      Error *error) {
        const Mock *mock = userdata;
        json_auto_t *json = NULL;

        if (strcmp(app, "unknown") == 0)
                return error_set(error, -ENOENT, "this instance has no app 'unknown'");
        if (!mock->version) {
                *ret = read_text(mock, "history.json");
                return *ret && limit > 0 ? 0 : error_set(error, -ENOENT, "there is no history.json");
        }
        json = json_pack("{s:[{s:s, s:s, s:s, s:s, s:s?, s:[{s:s, s:s, s:f, s:s}]}]}", "deployments", "id",
                         DEPLOYMENT, "app", mock->app, "version", mock->version, "outcome",
                         mock->outcome ?: "running", "reason", mock->reason, "steps", "step", "HEALTH",
                         "result", mock->outcome ?: "running", "seconds", 0.5, "output_tail",
                         "first line\nsecond \033[31mline\n");
        *ret = json ? json_dumps(json, 0) : NULL;
        return *ret ? 0 : error_oom(error);
}

static void tell_step(Mock *mock, const char *step) {
        json_auto_t *json = json_pack("{s:{s:s, s:i}}", "deployment", "step", step, "percent", 50);
        _cleanup_free_ char *text = json_dumps(json, 0);

        bus_service_progress(mock->bus, mock->app, DEPLOYMENT, text);
}

static int on_step(sd_event_source *source, _unused_ uint64_t usec, void *userdata) {
        Mock *mock = userdata;
        const char *line = mock->plan ? mock->plan[mock->next] : NULL;

        if (!line || string_equal(line, "die"))
                return sd_event_exit(mock->event, 0);
        mock->next++;
        if (strcmp(line, "succeeded") == 0 || string_starts_with(line, "failed")) {
                mock->outcome = strndup(line, strcspn(line, " "));
                mock->reason = line[strcspn(line, " ")] ? strdup(line + strcspn(line, " ") + 1) : NULL;
                bus_service_changed(mock->bus);
                return 0;
        }
        tell_step(mock, line);
        if (sd_event_source_set_time_relative(source, STEP_TIME) < 0)
                return -EIO;
        return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

static int keep_archive(const Mock *mock, int fd) {
        _cleanup_buffer_ Buffer content = {};
        int r;

        if (lseek(fd, 0, SEEK_SET) < 0)
                return -errno;
        r = file_read_fd(fd, FILE_MAX, &content);
        return r < 0 ? r : file_replace_at(mock->folder, "archive", content.data, content.size, 0644);
}

static int begin(Mock *mock, const char *app, const char *version) {
        _cleanup_free_ char *plan = read_text(mock, "plan");
        int r;

        mock->app = strdup(app);
        mock->version = strdup(version);
        r = strv_split(plan ?: "", "\n", &mock->plan);
        return r < 0 ? r
                     : sd_event_add_time_relative(mock->event, NULL, CLOCK_MONOTONIC, STEP_TIME, 1, on_step,
                                                  mock);
}

static int on_deploy_local(void *userdata, const char *release_json, int archive_fd, char **ret_id,
                           Error *error) {
        Mock *mock = userdata;
        json_auto_t *release = json_loads(release_json, 0, NULL);
        _cleanup_free_ char *refusal = read_text(mock, "refuse");
        int r;

        if (refusal)
                return error_set(error, -EBUSY, "%s", refusal);
        r = file_replace_at(mock->folder, "release.json", release_json, strlen(release_json), 0644);
        if (r >= 0)
                r = keep_archive(mock, archive_fd);
        if (r >= 0)
                r = begin(mock, json_string_value(json_object_get(release, "app")) ?: "-",
                          json_string_value(json_object_get(release, "version")) ?: "-");
        if (r < 0)
                return error_set_errno(error, r, "mock");
        return string_set(ret_id, DEPLOYMENT);
}

static int on_poll(void *userdata, Error *error) {
        const Mock *mock = userdata;
        int r;

        r = file_replace_at(mock->folder, "polled", "", 0, 0644);
        return r < 0 ? error_set_errno(error, r, "mock") : 0;
}

/* Keeps what it was told as "pinned", a line each; a deployment begins if there is a plan for one. */
static int on_pin_local(void *userdata, const char *app, const char *version, const char *reason,
                        bool *ret_changed, char **ret_id, Error *error) {
        Mock *mock = userdata;
        _cleanup_free_ char *plan = read_text(mock, "plan"), *before = read_text(mock, "pinned"),
                            *text = NULL;
        int r;

        if (strcmp(app, "unknown") == 0)
                return error_set(error, -ENOENT, "this instance has no app 'unknown'");
        if (asprintf(&text, "%s\n%s\n%s\n", app, version, reason) < 0)
                return error_oom(error);
        r = file_replace_at(mock->folder, "pinned", text, strlen(text), 0644);
        if (r < 0)
                return error_set_errno(error, r, "mock");
        *ret_changed = !string_equal(before, text);
        if (!plan)
                return 0;
        r = begin(mock, app, version);
        return r < 0 ? error_set_errno(error, r, "mock") : string_set(ret_id, DEPLOYMENT);
}

static int on_unpin_local(void *userdata, _unused_ const char *app, bool *ret_changed,
                          _unused_ Error *error) {
        const Mock *mock = userdata;

        *ret_changed = unlinkat(mock->folder, "pinned", 0) >= 0;
        return 0;
}

static const BusHandlers handlers = {
        .status = on_status,
        .history = on_history,
        .deploy_local = on_deploy_local,
        .poll = on_poll,
        .pin_local = on_pin_local,
        .unpin_local = on_unpin_local,
};

static int serve(const char *path, Error *error) {
        Mock mock = {};
        int r;

        mock.folder = file_open_folder_at(AT_FDCWD, path, 0755);
        if (mock.folder < 0)
                return error_set_errno(error, mock.folder, "%s", path);
        r = sd_event_new(&mock.event);
        if (r >= 0)
                r = bus_service_new(mock.event, &handlers, &mock, &mock.bus, error);
        if (r >= 0)
                r = sd_event_loop(mock.event);
        bus_service_free(mock.bus);
        sd_event_unref(mock.event);
        close_fd(mock.folder);
        strv_free(mock.plan);
        free(mock.app);
        free(mock.version);
        free(mock.outcome);
        free(mock.reason);
        return r;
}

int main(int argc, char *argv[]) {
        Error error = {};

        if (argc != 2) {
                fprintf(stderr, "mock-musterd FOLDER\n");
                return 2;
        }
        if (serve(argv[1], &error) < 0) {
                fprintf(stderr, "mock-musterd: %s\n", error.message);
                return 1;
        }
        return 0;
}
