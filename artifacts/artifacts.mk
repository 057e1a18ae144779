# Signed documents and what they are made of.
LIB_SRC += \
        artifacts/acl_entry.c \
        artifacts/appspec.c \
        artifacts/document.c \
        artifacts/dsse.c \
        artifacts/freshness.c \
        artifacts/json.c \
        artifacts/file_map.c \
        artifacts/file_source.c \
        artifacts/key.c \
        artifacts/release.c \
        artifacts/release_files.c \
        artifacts/release_health.c \
        artifacts/release_hook.c \
        artifacts/release_origin.c \
        artifacts/release_permission.c \
        artifacts/release_unit.c \
        artifacts/schema.c \
        artifacts/schema_value.c \
        artifacts/target.c \
        artifacts/trust_root.c \
        artifacts/yaml_tree.c
UNIT_TESTS += \
        test-appspec \
        test-acl_entry \
        test-document \
        test-dsse \
        test-freshness \
        test-file_map \
        test-file_source \
        test-json \
        test-key \
        test-release \
        test-release_permission \
        test-schema \
        test-target \
        test-trust_root \
        test-yaml_tree
TEST_SUPPORT_SRC += tests/unit/documents.c tests/unit/store_fixture.c
MAN_PAGES += artifacts/muster-appspec.5
FUZZERS += \
        fuzz-appspec \
        fuzz-dsse \
        fuzz-freshness \
        fuzz-release \
        fuzz-target \
        fuzz-trust_root

# Archives: format, unpacker, packer, release store.
PROGRAMS += muster-unpack
muster-unpack_MAIN := artifacts/muster-unpack-main.c
MAN_PAGES += artifacts/muster-unpack.8
LIB_SRC += \
        artifacts/archive_format.c \
        artifacts/archive_inspect.c \
        artifacts/artifact_digest.c \
        artifacts/entry_name.c \
        artifacts/entry_tree.c \
        artifacts/pack.c \
        artifacts/retention.c \
        artifacts/seal.c \
        artifacts/siphash.c \
        artifacts/store.c \
        artifacts/store_clean.c \
        artifacts/store_staging.c \
        artifacts/store_tree.c \
        artifacts/tree_builder.c \
        artifacts/tree_check.c \
        artifacts/tree_manifest.c \
        artifacts/tree_scan.c \
        artifacts/unpack_decoder.c \
        artifacts/unpack_flush.c \
        artifacts/unpack_input.c \
        artifacts/unpack_job.c \
        artifacts/unpack_protocol.c \
        artifacts/unpack_reader.c \
        artifacts/unpack_source.c \
        artifacts/unpack_thread.c \
        artifacts/unpack_writer.c \
        artifacts/zip_layout.c \
        artifacts/zstd_writer.c
UNIT_TESTS += \
        test-archive_format \
        test-artifact_digest \
        test-entry_name \
        test-entry_tree \
        test-pack \
        test-retention \
        test-siphash \
        test-store \
        test-store_clean \
        test-store_staging \
        test-tree_check \
        test-tree_manifest \
        test-unpack_decoder \
        test-unpack_flush \
        test-unpack_protocol \
        test-unpack_reader \
        test-unpack_thread \
        test-unpack_writer \
        test-zstd_writer
test-unpack_flush_LDFLAGS := -Wl,--wrap=syncfs
test-store_clean_LDFLAGS := -Wl,--wrap=fstatat
test-store_LDFLAGS := -Wl,--wrap=syncfs -Wl,--wrap=renameat2
test-store_staging_LDFLAGS := -Wl,--wrap=syncfs -Wl,--wrap=fchown
FUZZERS += \
        fuzz-entry_name \
        fuzz-tree_manifest \
        fuzz-unpack_protocol \
        fuzz-unpack_reader

# Depot and fetch.
LIB_SRC += \
        artifacts/chunk_window.c \
        artifacts/depot.c \
        artifacts/depot_descriptor.c \
        artifacts/depot_file.c \
        artifacts/depot_operation.c \
        artifacts/depot_s3.c \
        artifacts/fetch.c \
        artifacts/fetch_output.c \
        artifacts/fetch_pace.c \
        artifacts/fetch_retry.c \
        artifacts/file_lock.c \
        artifacts/file_walk.c \
        artifacts/file_writer.c \
        artifacts/layout.c
UNIT_TESTS += \
        test-chunk_window \
        test-depot \
        test-depot_descriptor \
        test-depot_file \
        test-depot_s3 \
        test-fetch \
        test-fetch_http \
        test-fetch_output \
        test-fetch_pace \
        test-fetch_retry \
        test-file_lock \
        test-file_walk \
        test-file_writer \
        test-layout
FUZZERS += \
        fuzz-chunk_window \
        fuzz-depot_key

# What every kind of depot promises.
TEST_SUPPORT_SRC += tests/unit/depot-promises.c
