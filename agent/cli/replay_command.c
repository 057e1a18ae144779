#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/file.h"
#include "agent/base/folder.h"
#include "agent/base/parse.h"
#include "agent/base/strv.h"
#include "agent/cli/output.h"
#include "agent/cli/replay_command.h"
#include "agent/cli/shared_options.h"
#include "agent/deployment_json.h"
#include "agent/record.h"
#include "agent/record_history.h"
#include "agent/replay.h"

#define APPS_FOLDER "apps"

typedef struct ReplayValues {
        const char *config;
} ReplayValues;

typedef struct Playing {
        Cli *cli;
        json_t *deployments; /* what came of each, for --json */
        unsigned n_different;
} Playing;

static json_t *result_to_json(const char *app, const Deployment *d, const Replay *replay) {
        return json_pack("{s:s?, s:s, s:s, s:s?, s:I, s:b, s:b, s:s?}", "app", app, "id", d->id, "version",
                         d->to.version, "from_version", d->from.version, "decisions",
                         (json_int_t) replay->decisions, "same", !replay->difference[0], "whole",
                         replay->whole, "difference", replay->difference[0] ? replay->difference : NULL);
}

static void print_result(const Playing *playing, const char *app, const Deployment *d, const Replay *replay) {
        const Style *style = &playing->cli->out_style;
        bool same = !replay->difference[0];

        fprintf(playing->cli->out, "%s%s%s: %s%s%s: ", d->id, app ? " " : "", app ? app : "",
                d->from.version ? d->from.version : "", d->from.version ? " -> " : "", d->to.version);
        if (!same)
                fprintf(playing->cli->out, "%sdiffers%s: %s\n", style->bad, style->off, replay->difference);
        else if (replay->decisions == 0)
                fputs("nothing of its decisions was recorded\n", playing->cli->out);
        else
                fprintf(playing->cli->out, "%s%u decision%s, all the same%s%s\n", style->good,
                        replay->decisions, replay->decisions == 1 ? "" : "s", style->off,
                        replay->whole ? "" : "; not all were recorded");
}

static int play(Playing *playing, const char *app, const Deployment *d, Error *error) {
        Replay replay;
        int r;

        r = replay_deployment(d, &replay, error);
        if (r < 0) {
                error_prefix(error, "%s", d->id);
                return r;
        }
        playing->n_different += r == REPLAY_DIFFERS;
        if (!playing->cli->json)
                print_result(playing, app, d, &replay);
        else if (json_array_append_new(playing->deployments, result_to_json(app, d, &replay)) < 0)
                return error_oom(error);
        return 0;
}

static int play_json(Playing *playing, const char *app, json_t *json, Error *error) {
        _cleanup_(deployment_deinit) Deployment d = {};
        int r;

        r = deployment_from_json(json, &d, error);
        return r < 0 ? r : play(playing, app, &d, error);
}

/* A record, or one entry of the history. */
static int play_file(Playing *playing, const char *path, Error *error) {
        _cleanup_buffer_ Buffer text = {};
        json_auto_t *json = NULL;
        json_t *deployment;
        int r;

        r = file_read_at(AT_FDCWD, path, RECORD_SIZE_MAX, &text);
        if (r < 0)
                return error_set_errno(error, r, "%s", path);
        json = json_loadb(buffer_string(&text), text.size, JSON_REJECT_DUPLICATES, NULL);
        if (!json_is_object(json))
                return error_set(error, -EINVAL, "%s: neither a deploy record nor an entry of a history",
                                 path);
        deployment = json_object_get(json, "schema") ? json_object_get(json, "deployment") : json;
        if (!json_is_object(deployment))
                return error_set(error, -ENOENT, "%s: nothing was deployed yet", path);
        r = play_json(playing, json_string_value(json_object_get(json, "app")), deployment, error);
        if (r < 0)
                error_prefix(error, "%s", path);
        return r;
}

/* The deployment that runs, or has ended without a history, and those of the history, newest first. */
static int play_app(Playing *playing, int apps_fd, const char *app, Error *error) {
        _cleanup_(record_deinit) Record record = {};
        json_auto_t *history = NULL;
        _cleanup_close_ int fd = -1;
        int r;

        fd = file_open_at(apps_fd, app, O_DIRECTORY | O_RDONLY, 0);
        if (fd < 0)
                return error_set_errno(error, fd, "app %s", app);
        r = record_load(fd, &record, error);
        if (r >= 0)
                r = record_read_history(fd, RECORD_HISTORY_MAX, &history, error);
        if (r >= 0 && record.deployment.id && !record_has_history(fd, record.deployment.id))
                r = play(playing, app, &record.deployment, error);
        for (size_t i = 0; r >= 0 && i < json_array_size(history); i++)
                r = play_json(playing, app, json_array_get(history, i), error);
        if (r < 0)
                error_prefix(error, "app %s", app);
        return r;
}

static int play_all(Playing *playing, int apps_fd, Error *error) {
        _cleanup_closedir_ DIR *dir = NULL;
        const char *name;
        int r;

        r = folder_open(apps_fd, ".", &dir);
        if (r < 0)
                return error_set_errno(error, r, "cannot list the apps");
        while ((r = folder_next(dir, &name)) > 0) {
                r = name_is_valid(name) ? play_app(playing, apps_fd, name, error) : 0;
                if (r < 0)
                        return r;
        }
        return r < 0 ? error_set_errno(error, r, "cannot list the apps") : 0;
}

static int play_state(Playing *playing, const char *config_path, const char *app, Error *error) {
        _cleanup_(config_freep) Config *config = NULL;
        _cleanup_free_ char *path = NULL;
        _cleanup_close_ int fd = -1;
        int r;

        r = config_load(config_path, &config, error);
        if (r < 0)
                return r;
        if (asprintf(&path, "%s/" APPS_FOLDER, config->state_dir) < 0) {
                path = NULL;
                return error_oom(error);
        }
        fd = open(path, O_DIRECTORY | O_RDONLY | O_CLOEXEC);
        if (fd < 0)
                return error_set_errno(error, -errno, "%s", path);
        return app ? play_app(playing, fd, app, error) : play_all(playing, fd, error);
}

static int run_replay(Cli *cli, void *values, char **arguments, Error *error) {
        const ReplayValues *given = values;
        const char *what = arguments ? arguments[0] : NULL;
        json_auto_t *deployments = json_array();
        Playing playing = { .cli = cli, .deployments = deployments };
        int r;

        if (!deployments)
                return error_oom(error);
        if (what && !name_is_valid(what))
                r = play_file(&playing, what, error);
        else if (what && faccessat(AT_FDCWD, what, F_OK, 0) == 0 && string_ends_with(what, ".json"))
                r = play_file(&playing, what, error);
        else
                r = play_state(&playing, given->config, what, error);
        if (r >= 0 && cli->json)
                r = output_json(
                        cli,
                        json_pack("{s:b, s:O}", "same", playing.n_different == 0, "deployments", deployments),
                        error);
        if (r < 0)
                return r;
        return playing.n_different > 0 ? EXIT_CODE_FAILED : EXIT_CODE_OK;
}

static const Option replay_options[] = {
        { .name = "config",
          .type = OPTION_PATH,
          OPTION_INTO(ReplayValues, config),
          .value = "FILE",
          .help = "configuration that says where the state is",
          .initial = CONFIG_PATH,
          .environment = "MUSTER_CONFIG" },
        OPTION_END,
};

const Command command_replay = {
        .name = "replay",
        .summary = "make the decisions of recorded deployments again, and compare",
        .description =
                "What a deployment was decided on, and every event of it, is recorded. This feeds them to the decision "
                "code of this muster again and says where it would do something else: exit status 1. It changes nothing "
                "and asks nobody. Only root can read the records of an instance.",
        .arguments = "[APP|FILE]",
        .arguments_max = 1,
        .argument_kind = ARGUMENT_FILE,
        .options = replay_options,
        .values_size = sizeof(ReplayValues),
        .examples =
                (const Example[]){
                        { "Everything that is recorded on this instance.", "sudo muster replay" },
                        { "One deployment from another machine's history.",
                          "muster replay ./d-20261121T090000.250Z-3f2a.json" },
                        {},
                },
        .run = run_replay,
};
