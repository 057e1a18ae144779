#pragma once

/* installed_check() (installed.h) in a child process. */

#include <systemd/sd-event.h>

#include "agent/installed.h"

typedef struct InstalledCheck InstalledCheck;

/* FINDING always is one: that the child failed is INSTALLED_FAILED. */
typedef void (*InstalledCheckDone)(InstalledCheck *check, const InstalledFinding *finding, void *userdata);

typedef struct InstalledCheckSpec {
        const ReleaseStore *store; /* must stay */
        const char *name;
        const InstalledFinding *
                known; /* what was found before, or NULL: while the tree is unchanged, it is not read again */
        bool gentle;   /* nobody waits for it */
} InstalledCheckSpec;

int installed_check_start(const InstalledCheckSpec *spec, sd_event *event, InstalledCheckDone done,
                          void *userdata, InstalledCheck **ret, Error *error);
InstalledCheck *installed_check_free(InstalledCheck *check);
DEFINE_CLEANUP(InstalledCheck *, installed_check_free)
