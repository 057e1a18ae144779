#include <string.h>

#include "agent/base/clock.h"
#include "agent/base/strv.h"
#include "agent/launch_pace.h"

void launch_pace_deinit(LaunchPace *pace) {
        for (size_t i = 0; i < ELEMENTSOF(pace->apps); i++)
                free(pace->apps[i].deployment);
        *pace = (LaunchPace){};
}

static bool is_further(const LaunchMark *a, const LaunchMark *b) {
        if (a->step != b->step)
                return a->step > b->step;
        return a->part != b->part ? a->part > b->part : a->bytes > b->bytes;
}

/* Another release is a new beginning; the same once more is not. */
static void begin(LaunchPaceApp *app, const LaunchWork *work, uint64_t now) {
        if (strcmp(app->release, work->release_sha256) != 0) {
                (void) snprintf(app->release, sizeof(app->release), "%s", work->release_sha256);
                app->best = (LaunchMark){};
                app->fruitless = 0;
        } else {
                app->fruitless++;
        }
        (void) string_set(&app->deployment, work->deployment);
        app->now = (LaunchMark){};
        if (app->fruitless <= LAUNCH_FRUITLESS_MAX)
                app->advanced_at = now;
}

void launch_pace_note(LaunchPace *pace, size_t i, const LaunchWork *work, uint64_t now) {
        const LaunchMark mark = { work->step, work->part, work->bytes };
        LaunchPaceApp *app = &pace->apps[i];

        app->running = work->release_sha256;
        if (!app->running)
                return;
        if (!string_equal(app->deployment, work->deployment))
                begin(app, work, now);
        app->allowance = work->allowance;
        if (!is_further(&mark, &app->now))
                return;
        app->now = mark;
        if (is_further(&mark, &app->best)) {
                app->best = mark;
                app->fruitless = 0;
        }
        if (app->fruitless <= LAUNCH_FRUITLESS_MAX)
                app->advanced_at = now;
}

static uint64_t silence_of(const LaunchPaceApp *app) {
        return MAX((uint64_t) LAUNCH_SILENCE_MAX, usec_add(app->allowance, LAUNCH_SILENCE_MARGIN));
}

bool launch_pace_is_alive(const LaunchPace *pace, uint64_t now, uint64_t *ret_quiet) {
        uint64_t quiet = USEC_INFINITY;
        bool alive = false, runs = false;

        for (size_t i = 0; i < ELEMENTSOF(pace->apps); i++) {
                const LaunchPaceApp *app = &pace->apps[i];

                if (!app->running)
                        continue;
                runs = true;
                quiet = MIN(quiet, now - app->advanced_at);
                alive |= now - app->advanced_at < silence_of(app);
        }
        if (ret_quiet)
                *ret_quiet = runs ? quiet : 0;
        return alive;
}
