#include <string.h>
#include <unistd.h>

#include "agent/base/strv.h"
#include "agent/cli/output.h"
#include "agent/cli/rollout_follow.h"
#include "agent/cli/rollout_page.h"
#include "agent/cli/screen.h"

#define GOES_ON 100 /* what is no exit status: the rollout has not ended */

typedef struct Watch {
        RolloutSurvey *survey;
        const Cli *cli;
        char id[ROLLOUT_ID_MAX]; /* of the one that is watched */
        char sha256[DIGEST_HEX_SIZE];
        json_t *told; /* the picture that was told last */
        bool on_terminal;
        Error problem; /* of the last look, or "" */
        char said[ERROR_MESSAGE_MAX];
} Watch;

static bool is_state(const json_t *picture, const char *state) {
        return string_equal(json_string_value(json_object_get(picture, "state")), state);
}

static bool is_same(const Watch *watch) {
        return strcmp(watch->survey->access.plan.id, watch->id) == 0;
}

/* Telling */

static int print_page(FILE *stream, const void *userdata) {
        const Watch *watch = userdata;

        return rollout_page_print(watch->survey->picture, watch->survey->now, stream, &watch->cli->out_style);
}

static void say_problem(Watch *watch) {
        if (strcmp(watch->said, watch->problem.message) != 0 && *watch->problem.message)
                cli_print_error(watch->cli, &watch->problem);
        memcpy(watch->said, watch->problem.message, sizeof(watch->said));
}

static int tell(Watch *watch, Error *error) {
        if (watch->cli->json || watch->cli->quiet)
                return 0;
        if (watch->on_terminal)
                return screen_show(watch->cli->out, &watch->cli->out_style, watch->problem.message,
                                   print_page, watch, error);
        say_problem(watch);
        if (is_same(watch))
                rollout_page_news(watch->told, watch->survey->picture, watch->survey->now, watch->cli->out);
        fflush(watch->cli->out);
        json_decref(watch->told);
        watch->told = json_incref(watch->survey->picture);
        return 0;
}

/* Ends */

static int tell_end(const Watch *watch, int r, Error *error) {
        const json_t *picture = watch->survey->picture;

        if (watch->cli->json) {
                int q = output_json(watch->cli, json_incref((json_t *) picture), error);
                return q < 0 ? q : r;
        }
        if (!watch->on_terminal && r != 0)
                rollout_page_failures(picture, watch->survey->now, watch->cli->out, &watch->cli->out_style);
        if (r == 0 && is_state(picture, "complete"))
                cli_say(watch->cli, "%s is complete; make it permanent: muster rollout finish %s %s",
                        watch->id, watch->survey->access.target->app, watch->survey->access.target->group);
        return r;
}

/* Somebody has signed another target meanwhile: that finished it, or took its place. */
static int end_by_target(const Watch *watch) {
        const Target *target = watch->survey->access.target;
        bool finished = strcmp(target->stable.sha256, watch->sha256) == 0;

        cli_say(watch->cli, "%s was %s: %s in %s, serial %llu, has %s as its stable release%s", watch->id,
                finished ? "finished" : "replaced", target->app, target->group,
                (unsigned long long) target->serial, target->stable.version,
                target->pinned ? " and is pinned to it" : "");
        return finished ? 0 : EXIT_CODE_FAILED;
}

static int find_end(const Watch *watch, Error *error) {
        const json_t *picture = watch->survey->picture;

        if (!is_same(watch))
                return end_by_target(watch);
        if (is_state(picture, "missing") || is_state(picture, "unreadable"))
                return error_set_fault(error, is_state(picture, "missing") ? -ENOENT : -EBADMSG, FAULT_INPUT,
                                       "rollout %s: %s", watch->id,
                                       json_string_value(json_object_get(picture, "sentence")));
        if (is_state(picture, "complete"))
                return 0;
        if (is_state(picture, "aborted") && !json_is_true(json_object_get(picture, "goes_on")))
                return EXIT_CODE_FAILED;
        return GOES_ON;
}

static bool is_over_time(const Watch *watch, uint64_t begun, uint64_t timeout) {
        return timeout > 0 && clock_boottime(watch->cli->clock) - begun >= timeout;
}

/* What another look may mend is shown and waited for; all else ends it. */
static int look_again(Watch *watch, Error *error) {
        Error problem = {};
        int r;

        (void) usleep(ROLLOUT_FOLLOW_INTERVAL);
        r = rollout_survey_look(watch->survey, &problem);
        watch->problem = r < 0 ? problem : (Error){};
        if (r >= 0 || (problem.fault == FAULT_HOST && r != -EACCES && r != -ENOMEM))
                return 0;
        *error = problem;
        return r;
}

static int refuse_to_wait(const Watch *watch, Error *error) {
        int r = watch->cli->json ? output_json(watch->cli, json_incref(watch->survey->picture), error) : 0;

        if (r < 0)
                return r;
        return error_set_fault(error, -ETIME, FAULT_INPUT, "rollout %s has not ended in that time: %s",
                               watch->id,
                               json_string_value(json_object_get(watch->survey->picture, "sentence")));
}

static int watch_to_end(Watch *watch, uint64_t timeout, Error *error) {
        uint64_t begun = clock_boottime(watch->cli->clock);
        int r, end;

        for (;;) {
                r = tell(watch, error);
                if (r < 0)
                        return r;
                end = *watch->problem.message ? GOES_ON : find_end(watch, error);
                if (end != GOES_ON)
                        return end < 0 ? end : tell_end(watch, end, error);
                if (is_over_time(watch, begun, timeout))
                        return refuse_to_wait(watch, error);
                r = look_again(watch, error);
                if (r < 0)
                        return r;
        }
}

int rollout_follow_check(bool watch, const OptionNumber *timeout, Error *error) {
        if (watch || !timeout->given)
                return 0;
        return error_set_fault(error, -EDESTADDRREQ, FAULT_INPUT,
                               "--timeout is how long --watch lasts: expected both");
}

int rollout_follow(RolloutSurvey *survey, uint64_t timeout, Error *error) {
        Watch watch = { .survey = survey,
                        .cli = survey->cli,
                        .on_terminal = isatty(fileno(survey->cli->out)) };
        int r;

        memcpy(watch.id, survey->access.plan.id, sizeof(watch.id));
        memcpy(watch.sha256, survey->access.plan.to->sha256, sizeof(watch.sha256));
        r = watch_to_end(&watch, timeout, error);
        json_decref(watch.told);
        return r;
}
