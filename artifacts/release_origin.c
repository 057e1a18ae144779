#include "artifacts/release_origin.h"
#include "agent/base/strv.h"

static bool is_one_line(const char *text) {
        return document_text_type.is_valid(text);
}

static const SchemaType bucket_type = {
        .kind = &schema_text,
        .is_valid = is_one_line,
        .expected = "the name of a bucket",
        .min = 3,
        .max = 255,
};
static const SchemaType key_type = {
        .kind = &schema_text,
        .is_valid = is_one_line,
        .expected = "a key in one line",
        .min = 1,
        .max = 1024,
};

static const SchemaMember members[] = {
        { "bucket", &bucket_type, offsetof(ReleaseOrigin, bucket), true },
        { "key", &key_type, offsetof(ReleaseOrigin, key), true },
        { "version_id", &key_type, offsetof(ReleaseOrigin, version_id), false },
        { "etag", &key_type, offsetof(ReleaseOrigin, etag), false },
        {},
};

static bool origin_is_set(const void *value) {
        return ((const ReleaseOrigin *) value)->bucket;
}

const SchemaType release_origin_type = {
        .kind = &schema_object,
        .size = sizeof(ReleaseOrigin),
        .members = members,
        .is_set = origin_is_set,
};

void release_origin_deinit(ReleaseOrigin *origin) {
        schema_clear(&release_origin_type, origin);
}

int release_origin_copy(const ReleaseOrigin *from, ReleaseOrigin *ret) {
        ReleaseOrigin copy = {};

        if (string_set(&copy.bucket, from->bucket) < 0 || string_set(&copy.key, from->key) < 0 ||
            string_set(&copy.version_id, from->version_id) < 0 || string_set(&copy.etag, from->etag) < 0) {
                release_origin_deinit(&copy);
                return -ENOMEM;
        }
        *ret = copy;
        return 0;
}
