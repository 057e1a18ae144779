#pragma once

/* Keeps the releases of an app on the disk within what the configuration allows, after each deployment and at the
 * agent's start, and finishes what a crash left: half a release, and units that systemd was not told to forget.
 * Nothing about it can hold up or fail a deployment. What must stay only because a process still runs from it is
 * looked at again later. */

#include <systemd/sd-event.h>

#include "agent/base/clock.h"
#include "agent/config.h"
#include "agent/record.h"
#include "artifacts/store_clean.h"
#include "units/manager.h"

#define APP_CLEAN_AGAIN (300 * USEC_PER_SEC)
#define APP_CLEAN_FILES_AGAIN                                                                                \
        (10 * USEC_PER_SEC) /* at first, where a change of installed files could not be ended */

typedef struct AppClean AppClean;

/* It has been cleaned, as far as possible. */
typedef void (*AppCleanDone)(AppClean *clean, void *userdata);

typedef struct AppCleanContext {
        sd_event *event;
        const Config *config;
        Manager *manager;
        const ReleaseStore *store;
        const Record *record;
        const char *app;
} AppCleanContext;

/* What CONTEXT points to must stay. */
int app_clean_new(const AppCleanContext *context, AppCleanDone done, void *userdata, AppClean **ret,
                  Error *error);
AppClean *app_clean_free(AppClean *clean);
DEFINE_CLEANUP(AppClean *, app_clean_free)

void app_clean_start(AppClean *clean);

/* A deployment begins: what is left is gone on with after it. */
void app_clean_stop(AppClean *clean);

/* Whether the record needs a release: the one that serves, the good one before it, those of a deployment, a pinned one. */
bool app_clean_is_needed(const ReleaseStore *store, const Record *record, const char *name);
