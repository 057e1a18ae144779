#pragma once

/* Finds out whether an Auto Scaling group holds this instance at launch, and by which hooks of ours (lifecycle_hooks.h); asks
 * again until it is known. */

#include <systemd/sd-event.h>

#include "agent/lifecycle_hooks.h"

#define LAUNCH_FIND_RETRY_FIRST (1 * UINT64_C(1000000))
#define LAUNCH_FIND_RETRY_MAX (120 * UINT64_C(1000000))
#define LAUNCH_FIND_FAILURES_MAX 3U /* in a row: then it is an alarm, if the instance is in a group */
#define LAUNCH_FIND_UNKNOWN_MAX 10U /* looks, some eight minutes: then the instance is in no group */

typedef struct LaunchFind LaunchFind;

typedef struct LaunchFindContext {
        sd_event *event;
        AwsContext *aws;
        const char *instance;
        const char *hook;  /* as lifecycle_hooks_choose() takes it */
        const char *group; /* NULL: the one that has the instance */
} LaunchFindContext;

typedef enum LaunchFinding {
        LAUNCH_FOUND_FREE, /* it is not held */
        LAUNCH_FOUND_HELD, /* by launch_find_group(); the hooks are asked for, which comes next */
        LAUNCH_FOUND_HOOKS,
        LAUNCH_FOUND_NO_HOOKS, /* none of the group's is ours; launch_find_remark() names them */
        LAUNCH_FOUND_PROBLEM,  /* it could not be asked: launch_find_problem(); nothing has ended */
} LaunchFinding;

/* Must not free the LaunchFind, but may call launch_find_stop(). */
typedef void (*LaunchFound)(LaunchFind *find, LaunchFinding finding, void *userdata);

/* What CONTEXT points to must stay. Asks nothing yet. */
int launch_find_new(const LaunchFindContext *context, LaunchFound found, void *userdata, LaunchFind **ret,
                    Error *error);
LaunchFind *launch_find_free(LaunchFind *find);
DEFINE_CLEANUP(LaunchFind *, launch_find_free)

/* Whether the configuration names one hook, which then needs no finding. */
bool launch_find_is_named(const char *hook);

/* Is the instance held, and by what? */
void launch_find_look(LaunchFind *find);

/* It is held by GROUP; by what? */
int launch_find_look_for_hooks(LaunchFind *find, const char *group);

void launch_find_stop(LaunchFind *find);

/* A question is under way. */
bool launch_find_is_asking(const LaunchFind *find);

const char *launch_find_group(const LaunchFind *find);

/* Hands over the hooks that were found. */
LifecycleHooks launch_find_take_hooks(LaunchFind *find);

const char *launch_find_remark(const LaunchFind *find);

/* Why it is not known yet, "" while nothing is wrong. */
const char *launch_find_problem(const LaunchFind *find);

/* It could not be asked again and again; since when, in microseconds since 1970. */
bool launch_find_is_alarming(const LaunchFind *find);
uint64_t launch_find_failing_since(const LaunchFind *find);
