#pragma once

/* One unit under observation: its state is handed over once at the start, again after each change and after each new
 * connection. Changes that come while a state is being read lead to one more reading, not to one each. */

#include "units/manager.h"
#include "units/unit_state.h"

typedef struct UnitWatch UnitWatch;

typedef struct UnitWatchEvents {
        /* A fresh state, read after the event that caused the reading. */
        void (*changed)(UnitWatch *watch, const UnitState *state, void *userdata);

        /* A job of this unit has ended. RESULT is JobRemoved's word: done, failed, timeout, canceled, dependency,
         * skipped, … A `changed` always follows. May be NULL. */
        void (*job_removed)(UnitWatch *watch, const char *job_path, const char *result, void *userdata);
} UnitWatchEvents;

/* The callbacks come from the event loop only, and may free the watch. EVENTS is not copied. While systemd cannot be
 * reached nothing is called: deadlines are the caller's. */
int unit_watch_new(Manager *manager, const char *unit, const UnitWatchEvents *events, void *userdata,
                   UnitWatch **ret, Error *error);
UnitWatch *unit_watch_free(UnitWatch *watch);
DEFINE_CLEANUP(UnitWatch *, unit_watch_free)

/* Reads the state again although nothing was signalled. */
void unit_watch_refresh(UnitWatch *watch);
