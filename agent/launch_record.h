#pragma once

/* <state_dir>/launch.json: what a launch has come to, so that nothing is decided twice, and what was decided is told until it
 * has been heard. Another instance's, as in an image that was made of one, is none. */

#include "agent/launch_state.h"

typedef struct LaunchRecord {
        char *instance;
        char *group;    /* the Auto Scaling group; NULL: not known yet */
        char **hooks;   /* to be completed, in order */
        size_t n_heard; /* of these, so many have been */
        LaunchState state;
        char *reason;   /* of ABANDON and HOLDING */
        char *boot_id;  /* of the boot in which it came to that, or was last found to hold */
        uint64_t since; /* microseconds since 1970 */
        /* on the boot-time clock of that boot: it was found held; 0: it was not in that boot */
        uint64_t held_at;
} LaunchRecord;

void launch_record_deinit(LaunchRecord *record);

/* Missing, malformed or another instance's: an empty record (state NONE). */
int launch_record_load(int state_fd, const char *instance, LaunchRecord *ret, Error *error);
int launch_record_save(int state_fd, const LaunchRecord *record, Error *error);

/* Whether the group must be asked whether the instance is held: it never was, or the instance was started again meanwhile,
 * which is how one leaves a warm pool. */
bool launch_must_look(const LaunchRecord *record, const char *boot_id);
