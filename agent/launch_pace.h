#pragma once

/* Whether the deployments for which a launching instance is held make progress: pure. Only then is the group asked, by a
 * heartbeat, for more time; one that hangs is left to the hook's time-out.
 *
 * Progress is: bytes of the artifact that arrive, a hook or a step that ends. A step that has deadlines of its own (a hook, a
 * unit's job, the health checks) may be silent for that long, anything else for LAUNCH_SILENCE_MAX. A deployment that is
 * tried again counts as long as it comes further than the attempts before, or these were few. */

#include <stdbool.h>

#include "agent/config.h"
#include "agent/deployment.h"

#define LAUNCH_SILENCE_MAX (300 * UINT64_C(1000000))
#define LAUNCH_SILENCE_MARGIN (30 * UINT64_C(1000000)) /* over a step's own deadline */
#define LAUNCH_FRUITLESS_MAX 5U /* attempts at a release in a row that came no further than one before */

/* How far an app's deployment has come. */
typedef struct LaunchWork {
        const char *release_sha256; /* NULL: none runs */
        const char *deployment;     /* its id */
        Step step;
        unsigned part;      /* of the step: the hook or unit that runs */
        uint64_t bytes;     /* of the artifact, in FETCH */
        uint64_t allowance; /* how long the part may take by its own deadline, microseconds; 0: it has none */
} LaunchWork;

typedef struct LaunchMark {
        Step step;
        unsigned part;
        uint64_t bytes;
} LaunchMark;

typedef struct LaunchPaceApp {
        char release[DIGEST_HEX_SIZE];
        char *deployment;
        LaunchMark now, best;
        unsigned fruitless;
        uint64_t advanced_at; /* boot time */
        uint64_t allowance;
        bool running;
} LaunchPaceApp;

typedef struct LaunchPace {
        LaunchPaceApp apps[CONFIG_APPS_MAX];
} LaunchPace;

void launch_pace_deinit(LaunchPace *pace);

/* Takes in how far the deployment of the app with that index has come. */
void launch_pace_note(LaunchPace *pace, size_t app, const LaunchWork *work, uint64_t now);

/* Whether one of the deployments makes progress. *RET_QUIET (may be NULL) is for how long none has, where one runs; else 0. */
bool launch_pace_is_alive(const LaunchPace *pace, uint64_t now, uint64_t *ret_quiet);
