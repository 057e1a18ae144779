LIB_SRC += \
        agent/cli/bus_client.c \
        agent/cli/bundle.c \
        agent/cli/cli.c \
        agent/cli/command.c \
        agent/cli/complete.c \
        agent/cli/depot_access.c \
        agent/cli/dispatch.c \
        agent/cli/documents.c \
        agent/cli/help.c \
        agent/cli/instance.c \
        agent/cli/key.c \
        agent/cli/key_source.c \
        agent/cli/new_file.c \
        agent/cli/option.c \
        agent/cli/output.c \
        agent/cli/progress.c \
        agent/cli/publish.c \
        agent/cli/root.c \
        agent/cli/show.c \
        agent/cli/suggest.c \
        agent/cli/table.c \
        agent/cli/target.c \
        agent/cli/target_edit.c \
        agent/cli/verbs.c \
        agent/cli/view.c

PROGRAMS += muster
muster_MAIN := agent/muster-main.c

UNIT_TESTS += \
        test-command \
        test-option \
        test-progress \
        test-suggest
