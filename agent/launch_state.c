#include <string.h>

#include "agent/launch_state.h"

static const char *const names[] = {
        [LAUNCH_NONE] = "none",           [LAUNCH_WAITING] = "waiting", [LAUNCH_HOLDING] = "holding",
        [LAUNCH_CONTINUE] = "continue",   [LAUNCH_ABANDON] = "abandon", [LAUNCH_CONTINUED] = "continued",
        [LAUNCH_ABANDONED] = "abandoned", [LAUNCH_OVER] = "over",
};

const char *launch_state_to_string(LaunchState state) {
        return names[state];
}

int launch_state_from_string(const char *text, LaunchState *ret) {
        for (size_t i = 0; i < ELEMENTSOF(names); i++)
                if (strcmp(names[i], text) == 0) {
                        *ret = (LaunchState) i;
                        return 0;
                }
        return -EINVAL;
}

LaunchState launch_decide(LaunchState state, const AppReadiness *required, size_t n,
                          LaunchFailure on_failure) {
        size_t n_ready = 0;

        if (!launch_is_open(state))
                return state;
        for (size_t i = 0; i < n; i++) {
                if (required[i] == APP_FAILED && on_failure == LAUNCH_FAILURE_ABANDON)
                        return state == LAUNCH_HOLDING ? LAUNCH_HOLDING : LAUNCH_ABANDON;
                if (required[i] == APP_READY ||
                    (required[i] == APP_FAILED && on_failure == LAUNCH_FAILURE_CONTINUE))
                        n_ready++;
        }
        return n_ready == n ? LAUNCH_CONTINUE : LAUNCH_WAITING;
}

bool launch_is_open(LaunchState state) {
        return state == LAUNCH_WAITING || state == LAUNCH_HOLDING;
}

bool launch_must_complete(LaunchState state) {
        return state == LAUNCH_CONTINUE || state == LAUNCH_ABANDON;
}
