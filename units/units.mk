LIB_SRC += \
        units/journal_sync.c \
        units/manager.c \
        units/property.c \
        units/transient.c \
        units/transient_stop.c \
        units/unit_enable.c \
        units/unit_file.c \
        units/unit_job.c \
        units/unit_links.c \
        units/unit_list.c \
        units/unit_journal.c \
        units/unit_judge.c \
        units/unit_name.c \
        units/unit_process.c \
        units/unit_removal.c \
        units/unit_state.c \
        units/unit_text.c \
        units/unit_watch.c

UNIT_TESTS += \
        test-manager \
        test-transient \
        test-unit_file \
        test-unit_job \
        test-unit_links \
        test-unit_judge \
        test-unit_name \
        test-unit_process \
        test-unit_text

TEST_SUPPORT_SRC += tests/unit/fake_systemd.c

MAN_PAGES += units/muster-reload.7
