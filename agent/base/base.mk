LIB_SRC += \
        agent/base/base64.c \
        agent/base/buffer.c \
        agent/base/clock.c \
        agent/base/error.c \
        agent/base/file.c \
        agent/base/hex.c \
        agent/base/log.c \
        agent/base/parse.c \
        agent/base/strv.c \
        agent/base/task.c


