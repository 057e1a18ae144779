LIB_SRC += \
        hooks/event.c
