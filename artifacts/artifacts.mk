# Signed documents and what they are made of.
LIB_SRC += \
        artifacts/appspec.c \
        artifacts/document.c \
        artifacts/dsse.c \
        artifacts/freshness.c \
        artifacts/json.c \
        artifacts/key.c \
        artifacts/release.c \
        artifacts/release_health.c \
        artifacts/release_hook.c \
        artifacts/release_unit.c \
        artifacts/schema.c \
        artifacts/target.c \
        artifacts/trust_root.c \
        artifacts/yaml_tree.c
UNIT_TESTS += \
        test-appspec \
        test-trust_root

# Archives: format, unpacker, packer, release store.
LIB_SRC += \
        artifacts/archive_format.c \
        artifacts/entry_name.c \
        artifacts/retention.c \
        artifacts/seal.c \
        artifacts/store.c \
        artifacts/store_clean.c \
        artifacts/store_staging.c \
        artifacts/unpack_protocol.c
UNIT_TESTS += \
        test-archive_format \
        test-entry_name \
        test-retention \
        test-store \
        test-unpack_protocol

# Depot and fetch.
LIB_SRC += \
        artifacts/depot.c \
        artifacts/depot_file.c \
        artifacts/file_lock.c \
        artifacts/file_walk.c \
        artifacts/file_writer.c \
        artifacts/layout.c
UNIT_TESTS += \
        test-depot \
        test-layout
