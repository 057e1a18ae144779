LIB_SRC += \
        agent/base/base64.c \
        agent/base/buffer.c \
        agent/base/clock.c \
        agent/base/code_pages.c \
        agent/base/error.c \
        agent/base/file.c \
        agent/base/file_users.c \
        agent/base/folder.c \
        agent/base/hex.c \
        agent/base/lifecycle_event.c \
        agent/base/log.c \
        agent/base/parse.c \
        agent/base/random.c \
        agent/base/strv.c \
        agent/base/suggest.c \
        agent/base/task.c \
        agent/base/timer.c \
        agent/base/utf8.c

UNIT_TESTS += \
        test-base64 \
        test-buffer \
        test-clock \
        test-code_pages \
        test-error \
        test-file \
        test-file_users \
        test-folder \
        test-hex \
        test-log \
        test-parse \
        test-random \
        test-strv \
        test-suggest \
        test-task \
        test-timer \
        test-utf8

# The test stands between the code and these calls, so that each can fail.
test-file_LDFLAGS := -Wl,--wrap=write -Wl,--wrap=fsync -Wl,--wrap=renameat

FUZZERS += \
        fuzz-base64 \
        fuzz-notation
