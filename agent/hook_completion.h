#pragma once

/* Tells an Auto Scaling group that this instance is done with lifecycle hooks, one after the other, again and again until each
 * has been heard (lifecycle_settle.h). An ABANDON of one hook ends the others with it. What cannot be delivered is an alarm,
 * after HOOK_COMPLETION_FAILURES_MAX failed requests or, where the group answers but has nothing that waits, after
 * HOOK_COMPLETION_ALARM: the journal has it at error priority then, and every HOOK_COMPLETION_REMIND. */

#include <systemd/sd-event.h>

#include "agent/lifecycle_settle.h"

#define HOOK_COMPLETION_FAILURES_MAX 3U
#define HOOK_COMPLETION_ALARM (120 * UINT64_C(1000000))
#define HOOK_COMPLETION_REMIND (3600 * UINT64_C(1000000))

typedef struct HookCompletion HookCompletion;

typedef struct HookCompletionSpec {
        sd_event *event;
        AwsContext *aws;
        LifecycleTransition transition;
        AutoScalingVerdict verdict;
        const char *group; /* the texts are copied */
        const char *instance;
        char *const *hooks; /* NULL-terminated, at least one */
        size_t first;       /* the hooks before this one have been heard already */
} HookCompletionSpec;

/* SETTLED is HEARD, or TOO_LATE if that is what it came to for one of the hooks. */
typedef void (*HookCompletionDone)(HookCompletion *completion, LifecycleSettled settled, void *userdata);

/* One more hook has been heard, a problem came up or has become an alarm. May be NULL; must not free the completion. */
typedef void (*HookCompletionNews)(HookCompletion *completion, void *userdata);

int hook_completion_start(const HookCompletionSpec *spec, HookCompletionDone done, HookCompletionNews news,
                          void *userdata, HookCompletion **ret, Error *error);
HookCompletion *hook_completion_free(HookCompletion *completion);
DEFINE_CLEANUP(HookCompletion *, hook_completion_free)

/* How many hooks have been heard. */
size_t hook_completion_heard(const HookCompletion *completion);

/* Why the group has not heard yet, "" while nothing is wrong. */
const char *hook_completion_problem(const HookCompletion *completion);

/* It has lasted for so long that somebody should look. */
bool hook_completion_is_alarming(const HookCompletion *completion);
