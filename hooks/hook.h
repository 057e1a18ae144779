#pragma once

/* One lifecycle hook: a script of the release, run as a transient unit of its own.
 *
 * The unit is Type=oneshot with RemainAfterExit=yes, named muster-hook-<app>-<deployment>-<event>-<index>-<attempt>
 * (.service; a "-" within a part is escaped), so that its result outlives a restart of musterd, which takes it up again
 * by that name (hook_start finds it). Its time-out, and its failure, end every process that it started. A process that
 * a successful hook leaves behind lives on, and holds nothing up, until hook_leftovers_stop_start() at the next
 * ApplicationStop.
 *
 * Variables reach it through a file that only root can read (EnvironmentFile=): every user can read the properties
 * of a unit, Environment= included.
 *
 * Its output goes straight to a file, opened for appending; see hooks/output.h for why, and for how it is kept small.
 *
 * The script is run as CodeDeploy does it, also without a run bit, and then with the interpreter of its first line, or
 * /bin/sh (a warning tells); with no first line of that kind, by /bin/sh. */

#include <stdbool.h>

#include "agent/base/buffer.h"
#include "agent/base/error.h"
#include "agent/base/lifecycle_event.h"
#include "units/manager.h"
#include "units/transient.h"

#define HOOK_TIMEOUT_USEC (3600 * UINT64_C(1000000)) /* CodeDeploy's default, and its maximum */
#define HOOK_STOP_TIMEOUT_USEC (10 * UINT64_C(1000000))
#define HOOK_ARGUMENTS_MAX 64U
#define HOOK_LOCATION_MAX 1024U
#define HOOK_TAIL_MAX 4096U /* of its output, in the result */

#define HOOK_RUN_FOLDER "/run/muster/hooks"

typedef struct HookScript {
        const char *location;  /* relative to the release's folder */
        char *const *args;     /* NULL: none */
        const char *runas;     /* NULL or "": root */
        uint64_t timeout_usec; /* 0: HOOK_TIMEOUT_USEC */
} HookScript;

typedef struct HookContext {
        const char *app;
        const char *deployment; /* a name, for the unit's */
        LifecycleEvent event;
        unsigned attempt; /* from 1; a hook that was cut off by a crash runs again as the next attempt */
        const char *release_folder; /* absolute path of releases/<version>-<12>; also the working directory */
        int release_dirfd;          /* the same folder, opened */
        char *const *environment;   /* "NAME=value", CodeDeploy's and ours; LIFECYCLE_EVENT, MUSTER_EVENT,
                                     * MUSTER_HOOK_INDEX and MUSTER_ATTEMPT are added here */
        int output_dirfd;           /* the folder for output files: <event>-<index>-<attempt>.log */
        const char *run_folder;     /* NULL: HOOK_RUN_FOLDER */
} HookContext;

typedef struct Hook Hook;

/* RESULT: 0 success; 1 the hook failed (ERROR: its name, how it ended and the last lines of its output; the release's
 * fault, but out of memory the host's); a negative errno: it could not be run or watched. */
#define HOOK_FAILED 1
#define HOOK_NOT_THERE 2 /* of hook_adopt() only */
typedef void (*HookDone)(Hook *hook, int result, const Error *error, void *userdata);

/* Starts the hook, or takes up the unit of that name if there is one. INDEX counts the hooks of the event from 0.
 * Everything is copied; the descriptors must stay open until the callback. A script that is missing, or cannot be run as
 * it is (a first line that ends in CR LF, an interpreter that is not there), is reported through the callback. */
int hook_start(Manager *manager, const HookContext *context, const HookScript *script, unsigned index,
               HookDone done, void *userdata, Hook **ret, Error *error);

/* Takes up a hook that an earlier process of ours started as CONTEXT->attempt: it still runs, or has ended, and its end is
 * reported as that of any other. HOOK_NOT_THERE: systemd does not know such a unit. */
int hook_adopt(Manager *manager, const HookContext *context, const HookScript *script, unsigned index,
               HookDone done, void *userdata, Hook **ret, Error *error);

/* From the callback on. */
const char *hook_unit(const Hook *hook);        /* its name: see hooks/hook_name.h */
const char *hook_output_tail(const Hook *hook); /* at most HOOK_TAIL_MAX bytes, whole lines, printable */
const char *hook_warning(const Hook *hook);     /* NULL, or one sentence: the script had no run bit, … */
const TransientResult *hook_result(const Hook *hook);

/* Does not end the script. */
Hook *hook_free(Hook *hook);
DEFINE_CLEANUP(Hook *, hook_free)
