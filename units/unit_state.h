#pragma once

/* What systemd says about one unit at one moment, read in a single call so that the values belong together.
 * A plain value: copies are copies. */

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-bus.h>
#include <systemd/sd-id128.h>

#include "agent/base/error.h"

#define UNIT_WORD_MAX 32U
#define UNIT_NAME_MAX 256U

typedef enum UnitLoad {
        UNIT_LOAD_OTHER, /* whatever else org.freedesktop.systemd1(5) may say, such as merged */
        UNIT_LOADED,
        UNIT_NOT_FOUND, /* every other value then is a default: systemd answers for units it does not know */
        UNIT_MASKED,
        UNIT_BAD, /* bad-setting or error: the unit file cannot be used */
} UnitLoad;

typedef enum UnitActive {
        UNIT_ACTIVE_OTHER, /* maintenance */
        UNIT_ACTIVE,
        UNIT_RELOADING,
        UNIT_INACTIVE,
        UNIT_FAILED,
        UNIT_ACTIVATING,
        UNIT_DEACTIVATING,
} UnitActive;

typedef struct UnitState {
        UnitLoad load;
        UnitActive active;
        char sub[UNIT_WORD_MAX];           /* "running", "exited", "auto-restart", … */
        char result[UNIT_WORD_MAX];        /* "success", "exit-code", "signal", "timeout", "oom-kill", … */
        char reload_result[UNIT_WORD_MAX]; /* the same words, of the last reload */
        char type[UNIT_WORD_MAX]; /* "simple", "exec", "forking", "oneshot", "notify", …; "" if no service */
        char unit_file_state[UNIT_WORD_MAX]; /* "enabled", "disabled", "static", "transient", … */
        char load_error[128];                /* systemd's sentence on why it could not be loaded, "" else */
        char fragment_path[PATH_MAX];        /* "" where there is none */
        char control_group[PATH_MAX];        /* "" where there is none */
        sd_id128_t invocation;               /* of this run of the unit; null before the first */
        uint32_t n_restarts;                 /* automatic ones since it was started by hand */
        uint32_t main_pid;                   /* 0: none */
        uint32_t job;                        /* the job that is queued or running for it, 0: none */
        int32_t exec_code;       /* CLD_EXITED, CLD_KILLED, CLD_DUMPED; 0: the main process has not ended */
        int32_t exec_status;     /* exit status or signal, by exec_code */
        uint64_t exec_started;   /* CLOCK_MONOTONIC of the main process; 0: never */
        uint64_t active_entered; /* CLOCK_MONOTONIC when it last became active; 0: never */
        bool can_reload;
        bool remain_after_exit;
        bool need_daemon_reload;
} UnitState;

/* Reads the reply of org.freedesktop.DBus.Properties.GetAll(""). -EBADMSG and what sd_bus says. */
int unit_state_read(sd_bus_message *reply, UnitState *ret, Error *error);

/* systemd does not know it. (A unit whose file was removed while it runs is "not-found", too, but active.) */
bool unit_state_is_unknown(const UnitState *state);

/* Nothing of it runs, or is about to. */
bool unit_state_is_down(const UnitState *state);

UnitLoad unit_load_from_string(const char *text);
UnitActive unit_active_from_string(const char *text);
const char *unit_load_to_string(UnitLoad load);
const char *unit_active_to_string(UnitActive active);

/* "exit status 3", "exit status 203 (EXEC)", "signal 9 (KILL)", "signal 11 (SEGV), core dumped", "" while it has not
 * ended. The names in brackets are systemd.exec(5)'s, for what fails before the program runs. */
#define UNIT_EXIT_TEXT_MAX 64U
void unit_exit_text(int32_t exec_code, int32_t exec_status, char ret[static UNIT_EXIT_TEXT_MAX]);

/* The name ("EXEC", "USER", …) of an exit status by which systemd says that it could not even execute the program;
 * NULL for any other status. */
const char *unit_exec_failure(int32_t exec_status);
