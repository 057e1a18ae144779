LIB_SRC += \
        units/manager.c \
        units/property.c \
        units/transient.c \
        units/transient_stop.c \
        units/unit_state.c \
        units/unit_watch.c
