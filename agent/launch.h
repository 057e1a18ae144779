#pragma once

/* The launch of this instance: finds out whether its Auto Scaling group holds it, by which lifecycle hooks of ours
 * (lifecycle_hooks.h), holds it while deployments get on (launch_beat.h), decides (launch_state.h) and tells the group, again
 * and again until it has been heard (hook_completion.h). Before an instance has itself replaced, the depot gets to know why
 * (failure_upload.h), and whether so many did before it that it stays. */

#include "agent/failure_upload.h"
#include "agent/identity.h"
#include "agent/launch_pace.h"
#include "agent/launch_state.h"

typedef struct Launch Launch;

/* Starts to say in the depot why the required apps failed. */
typedef int (*LaunchUpload)(void *userdata, FailureUploadDone done, void *done_userdata, FailureUpload **ret,
                            Error *error);

typedef struct LaunchContext {
        sd_event *event;
        const Config *config;
        const Identity *identity;
        AwsContext *aws; /* NULL: there is no lifecycle to complete */
        int state_fd;    /* borrowed */
        const char *boot_id;
        LaunchUpload upload;
} LaunchContext;

/* Called when the state changes, or what it is to say of it. */
typedef void (*LaunchChanged)(void *userdata);

/* USERDATA also goes to the context's upload. */
int launch_new(const LaunchContext *context, LaunchChanged changed, void *userdata, Launch **ret,
               Error *error);
Launch *launch_free(Launch *launch);
DEFINE_CLEANUP(Launch *, launch_free)

/* A required app. */
typedef struct LaunchApp {
        AppReadiness readiness;
        LaunchWork work;
        const char *reason; /* why it has not come further */
} LaunchApp;

/* What all the required apps have come to. */
void launch_update(Launch *launch, const LaunchApp *apps, size_t n);

/* The group may have begun another transition of this instance without a reboot: out of a warm pool or out of standby. */
void launch_look_again(Launch *launch);

/* The group takes this instance away: its launch hooks wait for nobody any more. */
void launch_end(Launch *launch, const char *reason);

/* Others say that the instance is in a group: if that cannot be asked whether it holds the instance, it will not hear that the
 * instance is ready either. */
void launch_expect_group(Launch *launch);

LaunchState launch_state(const Launch *launch);

/* The Auto Scaling group that holds it, or NULL. */
const char *launch_group(const Launch *launch);

/* The hooks that are completed, NULL-terminated, or NULL. */
char *const *launch_hooks(const Launch *launch);

/* Why it is in that state, "" if there is nothing to say. */
const char *launch_reason(const Launch *launch);

/* Why the group has not heard yet what was decided, or NULL; *RET_SINCE is when it was decided, *RET_ALARM (may be NULL)
 * whether somebody should look. */
const char *launch_undelivered(const Launch *launch, uint64_t *ret_since, bool *ret_alarm);
