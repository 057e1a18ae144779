LIB_SRC += \
        hooks/environment_file.c \
        hooks/health.c \
        hooks/health_track.c \
        hooks/hook.c \
        hooks/hook_collect.c \
        hooks/hook_command.c \
        hooks/hook_leftovers.c \
        hooks/hook_list.c \
        hooks/hook_name.c \
        hooks/output.c \
        hooks/probe.c \
        hooks/probe_command.c \
        hooks/probe_http.c \
        hooks/probe_tcp.c \
        hooks/probe_unit.c \
        hooks/script.c

UNIT_TESTS += \
        test-environment_file \
        test-health_track \
        test-hook_command \
        test-hook_name \
        test-output \
        test-script

FUZZERS += fuzz-script
