#pragma once

/* Removes from a release store what is not needed any more: staging folders that nobody works in (after a crash, or a
 * failed deploy), releases without an envelope, envelopes and manifests without a release, and releases beyond what is to be kept.
 *
 * Whatever is removed leaves releases/ by one rename first, so a release is there whole or not at all. The slow part
 * runs in a child process of low priority, in bites, and what a crash or store_clean_free() cuts off is gone on with the next
 * time. */

#include <systemd/sd-event.h>

#include "artifacts/store.h"

#define STORE_KEEP_ALL UINT64_MAX

typedef struct StoreRetention {
        uint64_t releases; /* how many to keep at most, */
        /* and how much disk they may take together; STORE_KEEP_ALL: no limit, and no counting */
        uint64_t bytes;
        bool urgent; /* somebody waits for the room */
} StoreRetention;

/* Whether a release must stay: `current`, what a rollback needs, what is pinned. Those that must stay count, but are never
 * removed; nor is one that a live process runs from (file_users.h). Called from store_clean_start() or later from the event
 * loop, before the callback. */
typedef bool (*StoreInUse)(const char *name, void *userdata);

typedef struct StoreClean StoreClean;
typedef void (*StoreCleanDone)(StoreClean *clean, int result, const Error *error, void *userdata);

/* IN_STAGING names the staging folder that is worked in, or is NULL; with one, releases/ may hold half of what is just
 * being committed, so only staging and retention are looked after. What fails to go is tried again the next time, and
 * is no failure of anything but this. IN_USE is called with USERDATA too. */
int store_clean_start(const ReleaseStore *store, sd_event *event, const char *in_staging,
                      const StoreRetention *retention, StoreInUse in_use, StoreCleanDone done, void *userdata,
                      StoreClean **ret, Error *error);
StoreClean *store_clean_free(StoreClean *clean);

/* Whether something is still there only because a process runs from it, so that cleaning again later is of use. */
bool store_clean_left_some(const StoreClean *clean);
DEFINE_CLEANUP(StoreClean *, store_clean_free)
