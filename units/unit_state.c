#include <signal.h>
#include <stddef.h>
#include <string.h>

#include "units/unit_state.h"

static const char *const load_names[] = {
        [UNIT_LOAD_OTHER] = "other", [UNIT_LOADED] = "loaded", [UNIT_NOT_FOUND] = "not-found",
        [UNIT_MASKED] = "masked",    [UNIT_BAD] = "error",
};

static const char *const active_names[] = {
        [UNIT_ACTIVE_OTHER] = "maintenance",  [UNIT_ACTIVE] = "active", [UNIT_RELOADING] = "reloading",
        [UNIT_INACTIVE] = "inactive",         [UNIT_FAILED] = "failed", [UNIT_ACTIVATING] = "activating",
        [UNIT_DEACTIVATING] = "deactivating",
};

UnitLoad unit_load_from_string(const char *text) {
        if (strcmp(text, "bad-setting") == 0)
                return UNIT_BAD;
        for (size_t i = UNIT_LOADED; i < ELEMENTSOF(load_names); i++)
                if (strcmp(text, load_names[i]) == 0)
                        return (UnitLoad) i;
        return UNIT_LOAD_OTHER;
}

UnitActive unit_active_from_string(const char *text) {
        for (size_t i = UNIT_ACTIVE; i < ELEMENTSOF(active_names); i++)
                if (strcmp(text, active_names[i]) == 0)
                        return (UnitActive) i;
        return UNIT_ACTIVE_OTHER;
}

const char *unit_load_to_string(UnitLoad load) {
        return (size_t) load < ELEMENTSOF(load_names) ? load_names[load] : "other";
}

const char *unit_active_to_string(UnitActive active) {
        return (size_t) active < ELEMENTSOF(active_names) ? active_names[active] : "maintenance";
}

bool unit_state_is_unknown(const UnitState *state) {
        return state->load == UNIT_NOT_FOUND && state->active == UNIT_INACTIVE;
}

bool unit_state_is_down(const UnitState *state) {
        return (state->active == UNIT_INACTIVE || state->active == UNIT_FAILED) && state->job == 0;
}

typedef enum FieldType {
        FIELD_TEXT,
        FIELD_LOAD,
        FIELD_ACTIVE,
        FIELD_UINT32,
        FIELD_INT32,
        FIELD_UINT64,
        FIELD_BOOLEAN,
        FIELD_INVOCATION, /* ay */
        FIELD_JOB,        /* (uo) */
        FIELD_ERROR,      /* (ss): name, message */
} FieldType;

#define FIELD(property, t, member)                                                                           \
        { property, t, offsetof(UnitState, member), sizeof(((UnitState *) NULL)->member) }

static const struct {
        const char *property;
        FieldType type;
        size_t offset, size;
} fields[] = {
        FIELD("LoadState", FIELD_LOAD, load),
        FIELD("LoadError", FIELD_ERROR, load_error),
        FIELD("ActiveState", FIELD_ACTIVE, active),
        FIELD("SubState", FIELD_TEXT, sub),
        FIELD("Result", FIELD_TEXT, result),
        FIELD("ReloadResult", FIELD_TEXT, reload_result),
        FIELD("Type", FIELD_TEXT, type),
        FIELD("UnitFileState", FIELD_TEXT, unit_file_state),
        FIELD("FragmentPath", FIELD_TEXT, fragment_path),
        FIELD("ControlGroup", FIELD_TEXT, control_group),
        FIELD("InvocationID", FIELD_INVOCATION, invocation),
        FIELD("NRestarts", FIELD_UINT32, n_restarts),
        FIELD("MainPID", FIELD_UINT32, main_pid),
        FIELD("Job", FIELD_JOB, job),
        FIELD("ExecMainCode", FIELD_INT32, exec_code),
        FIELD("ExecMainStatus", FIELD_INT32, exec_status),
        FIELD("ExecMainStartTimestampMonotonic", FIELD_UINT64, exec_started),
        FIELD("ActiveEnterTimestampMonotonic", FIELD_UINT64, active_entered),
        FIELD("CanReload", FIELD_BOOLEAN, can_reload),
        FIELD("RemainAfterExit", FIELD_BOOLEAN, remain_after_exit),
        FIELD("NeedDaemonReload", FIELD_BOOLEAN, need_daemon_reload),
};

static int read_text(sd_bus_message *m, FieldType type, void *to, size_t size) {
        const char *text, *name;
        int r;

        if (type == FIELD_ERROR)
                r = sd_bus_message_read(m, "v", "(ss)", &name, &text);
        else
                r = sd_bus_message_read(m, "v", "s", &text);
        if (r < 0)
                return r;
        if (type == FIELD_LOAD)
                *(UnitLoad *) to = unit_load_from_string(text);
        else if (type == FIELD_ACTIVE)
                *(UnitActive *) to = unit_active_from_string(text);
        else
                (void) snprintf(to, size, "%s", text);
        return 0;
}

static int read_invocation(sd_bus_message *m, sd_id128_t *to) {
        const void *bytes;
        size_t size;
        int r;

        r = sd_bus_message_enter_container(m, 'v', "ay");
        if (r < 0)
                return r;
        r = sd_bus_message_read_array(m, 'y', &bytes, &size);
        if (r < 0)
                return r;
        if (size == sizeof(*to))
                memcpy(to, bytes, size); /* else it never ran */
        return sd_bus_message_exit_container(m);
}

static int read_number(sd_bus_message *m, FieldType type, void *to) {
        const char *path;
        int boolean, r;

        switch (type) {
        case FIELD_UINT32:
                return sd_bus_message_read(m, "v", "u", to);
        case FIELD_INT32:
                return sd_bus_message_read(m, "v", "i", to);
        case FIELD_UINT64:
                return sd_bus_message_read(m, "v", "t", to);
        case FIELD_JOB:
                return sd_bus_message_read(m, "v", "(uo)", to, &path);
        default:
                r = sd_bus_message_read(m, "v", "b", &boolean);
                if (r >= 0)
                        *(bool *) to = boolean;
                return r;
        }
}

static int read_property(sd_bus_message *m, UnitState *state) {
        const char *name;
        int r;

        r = sd_bus_message_read(m, "s", &name);
        if (r < 0)
                return r;
        for (size_t i = 0; i < ELEMENTSOF(fields); i++) {
                void *to = (char *) state + fields[i].offset;

                if (strcmp(name, fields[i].property) != 0)
                        continue;
                switch (fields[i].type) {
                case FIELD_TEXT:
                case FIELD_LOAD:
                case FIELD_ACTIVE:
                case FIELD_ERROR:
                        return read_text(m, fields[i].type, to, fields[i].size);
                case FIELD_INVOCATION:
                        return read_invocation(m, to);
                default:
                        return read_number(m, fields[i].type, to);
                }
        }
        return sd_bus_message_skip(m, "v");
}

int unit_state_read(sd_bus_message *reply, UnitState *ret, Error *error) {
        UnitState state = {};
        int r;

        r = sd_bus_message_enter_container(reply, 'a', "{sv}");
        while (r >= 0) {
                r = sd_bus_message_enter_container(reply, 'e', "sv");
                if (r <= 0)
                        break;
                r = read_property(reply, &state);
                if (r >= 0)
                        r = sd_bus_message_exit_container(reply);
        }
        if (r < 0)
                return error_set_fault(error, r, FAULT_HOST, "systemd's answer cannot be read: %s",
                                       strerror(-r));
        *ret = state;
        return 0;
}

/* systemd.exec(5), "Process Exit Codes": what its child exits with before the program is executed. */
static const struct {
        int status;
        const char *name;
} exec_failures[] = {
        { 200, "CHDIR" },
        { 201, "NICE" },
        { 202, "FDS" },
        { 203, "EXEC" },
        { 204, "MEMORY" },
        { 205, "LIMITS" },
        { 206, "OOM_ADJUST" },
        { 207, "SIGNAL_MASK" },
        { 208, "STDIN" },
        { 209, "STDOUT" },
        { 210, "CHROOT" },
        { 211, "IOPRIO" },
        { 212, "TIMERSLACK" },
        { 213, "SECUREBITS" },
        { 214, "SETSCHEDULER" },
        { 215, "CPUAFFINITY" },
        { 216, "GROUP" },
        { 217, "USER" },
        { 218, "CAPABILITIES" },
        { 219, "CGROUP" },
        { 220, "SETSID" },
        { 221, "CONFIRM" },
        { 222, "STDERR" },
        { 224, "PAM" },
        { 225, "NETWORK" },
        { 226, "NAMESPACE" },
        { 227, "NO_NEW_PRIVILEGES" },
        { 228, "SECCOMP" },
        { 229, "SELINUX_CONTEXT" },
        { 230, "PERSONALITY" },
        { 231, "APPARMOR_PROFILE" },
        { 232, "ADDRESS_FAMILIES" },
        { 233, "RUNTIME_DIRECTORY" },
        { 235, "CHOWN" },
        { 236, "SMACK_PROCESS_LABEL" },
        { 237, "KEYRING" },
        { 238, "STATE_DIRECTORY" },
        { 239, "CACHE_DIRECTORY" },
        { 240, "LOGS_DIRECTORY" },
        { 241, "CONFIGURATION_DIRECTORY" },
        { 242, "NUMA_POLICY" },
        { 243, "CREDENTIALS" },
        { 244, "BPF" },
};

const char *unit_exec_failure(int32_t exec_status) {
        for (size_t i = 0; i < ELEMENTSOF(exec_failures); i++)
                if (exec_failures[i].status == exec_status)
                        return exec_failures[i].name;
        return NULL;
}

void unit_exit_text(int32_t exec_code, int32_t exec_status, char ret[static UNIT_EXIT_TEXT_MAX]) {
        const char *name;

        switch (exec_code) {
        case CLD_EXITED:
                name = unit_exec_failure(exec_status);
                (void) snprintf(ret, UNIT_EXIT_TEXT_MAX, "exit status %d%s%s%s", exec_status,
                                name ? " (" : "", name ? name : "", name ? ")" : "");
                break;
        case CLD_KILLED:
        case CLD_DUMPED:
                name = sigabbrev_np(exec_status);
                (void) snprintf(ret, UNIT_EXIT_TEXT_MAX, "signal %d (%s)%s", exec_status, name ? name : "?",
                                exec_code == CLD_DUMPED ? ", core dumped" : "");
                break;
        default:
                ret[0] = '\0';
        }
}
