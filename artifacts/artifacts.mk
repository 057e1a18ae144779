
# Archives: format, unpacker, packer, release store.
LIB_SRC += \
        artifacts/archive_format.c \
        artifacts/entry_name.c \
        artifacts/unpack_protocol.c
UNIT_TESTS += \
        test-archive_format \
        test-entry_name \
        test-unpack_protocol
