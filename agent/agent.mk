LIB_SRC += \
        agent/config.c

UNIT_TESTS += test-config
