#include <assert.h>
#include <inttypes.h>
#include <string.h>

#include "agent/base/parse.h"
#include "agent/base/strv.h"
#include "artifacts/release.h"
#include "artifacts/unpack_protocol.h"

static_assert(RELEASE_UNPACKED_SIZE_MAX <= UNPACK_BYTES_MAX && RELEASE_ENTRIES_MAX <= UNPACK_ENTRIES_MAX,
              "what is published can be unpacked");

static const char *const archive_formats[] = {
        [ARCHIVE_TAR] = "tar",         [ARCHIVE_TAR_GZ] = "tar.gz", [ARCHIVE_TAR_XZ] = "tar.xz",
        [ARCHIVE_TAR_ZST] = "tar.zst", [ARCHIVE_ZIP] = "zip",       NULL,
};

static const char *const traffics[] = {
        [RELEASE_TRAFFIC_NONE] = "none", [RELEASE_TRAFFIC_TARGET_GROUP] = "target-group", NULL
};
const SchemaType release_traffic_type = {
        .kind = &schema_choice,
        .choices = traffics,
        .zero_is_unset = true, /* nothing that an older muster would have to understand */
};

/* Artifacts */

static bool platform_is_valid(const char *text) {
        size_t n = string_starts_with(text, "linux/") ? strlen(text) - 6 : 0;

        if (strcmp(text, "any") == 0)
                return true;
        return n > 0 && n <= 16 && strspn(text + 6, "abcdefghijklmnopqrstuvwxyz0123456789") == n;
}

static const SchemaType format_type = {
        .kind = &schema_choice,
        .choices = archive_formats,
};
static const SchemaType bytes_type = {
        .kind = &schema_u64,
        .expected = "a number of bytes",
        .min = 1,
        .max = (uint64_t) RELEASE_CHUNKS_MAX * RELEASE_CHUNK_SIZE_MAX,
};
static const SchemaType unpacked_size_type = {
        .kind = &schema_u64,
        .expected = "a number of bytes",
        .max = RELEASE_UNPACKED_SIZE_MAX,
};
static const SchemaType entries_type = {
        .kind = &schema_u64,
        .max = RELEASE_ENTRIES_MAX,
};
static const SchemaType chunk_size_type = {
        .kind = &schema_u64,
        .expected = "a number of bytes",
        .min = RELEASE_CHUNK_SIZE_MIN,
        .max = RELEASE_CHUNK_SIZE_MAX,
};
static const SchemaType chunk_type = {
        .kind = &schema_digest,
};
static const SchemaType chunks_type = {
        .kind = &schema_list,
        .element = &chunk_type,
        .min = 1,
        .max = RELEASE_CHUNKS_MAX,
};

static const SchemaType flag_type = {
        .kind = &schema_boolean,
        .zero_is_unset = true,
};

static int check_artifact(const JsonField *field, void *value, Error *error) {
        const ReleaseArtifact *artifact = value;
        uint64_t n = (artifact->size + artifact->chunk_size - 1) / artifact->chunk_size;
        JsonField chunks = json_field_member(field, "chunks");

        if (artifact->chunks.n != n)
                return json_field_fail(&chunks, error,
                                       "%" PRIu64 " bytes in pieces of %" PRIu64 " make %" PRIu64
                                       " digests, found %zu",
                                       artifact->size, artifact->chunk_size, n, artifact->chunks.n);
        return 0;
}

static const SchemaMember artifact_members[] = {
        { "sha256", &document_hex_type, offsetof(ReleaseArtifact, sha256), true },
        { "size", &bytes_type, offsetof(ReleaseArtifact, size), true },
        { "format", &format_type, offsetof(ReleaseArtifact, format), true },
        { "unpacked_size", &unpacked_size_type, offsetof(ReleaseArtifact, unpacked_size), true },
        { "entries", &entries_type, offsetof(ReleaseArtifact, entries), true },
        { "tree_sha256", &document_hex_type, offsetof(ReleaseArtifact, tree_sha256), false },
        { "origin", &release_origin_type, offsetof(ReleaseArtifact, origin), false },
        { "wrapping_folder", &flag_type, offsetof(ReleaseArtifact, wrapping_folder), false },
        { "chunk_size", &chunk_size_type, offsetof(ReleaseArtifact, chunk_size), true },
        { "chunks", &chunks_type, offsetof(ReleaseArtifact, chunks), true },
        {},
};
static const SchemaType artifact_type = {
        .kind = &schema_object,
        .size = sizeof(ReleaseArtifact),
        .members = artifact_members,
        .check = check_artifact,
};
static const SchemaType artifacts_type = {
        .kind = &schema_map,
        .element = &artifact_type,
        .entry_size = sizeof(ReleaseArtifact),
        .is_valid = platform_is_valid,
        .expected = "a platform such as linux/amd64, or any",
        .min = 1,
        .max = RELEASE_PLATFORMS_MAX,
};

/* The release */

static const SchemaType commit_type = {
        .kind = &schema_text,
        .is_valid = version_is_valid,
        .expected = "the id of a commit",
        .max = 64,
};

static const SchemaMember release_members[] = {
        { "app", &document_name_type, offsetof(Release, app), true },
        { "version", &document_version_type, offsetof(Release, version), true },
        { "created", &document_time_type, offsetof(Release, created), true },
        { "min_agent", &document_agent_version_type, offsetof(Release, min_agent), false },
        { "commit", &commit_type, offsetof(Release, commit), false },
        { "artifacts", &artifacts_type, offsetof(Release, artifacts), true },
        { "hooks", &release_hooks_type, offsetof(Release, hooks), false },
        { "files", &release_files_type, offsetof(Release, files), false },
        { "permissions", &release_permissions_type, offsetof(Release, permissions), false },
        { "file_exists_behavior", &release_file_exists_type, offsetof(Release, file_exists), false },
        { "traffic", &release_traffic_type, offsetof(Release, traffic), false },
        { "units", &release_units_type, offsetof(Release, units), false },
        { "health", &release_healths_type, offsetof(Release, health), false },
        { "env", &document_environment_type, offsetof(Release, env), false },
        {},
};
static const SchemaType release_type = {
        .kind = &schema_object,
        .size = sizeof(Release),
        .members = release_members,
};

Release *release_free(Release *release) {
        if (release)
                schema_clear(&release_type, release);
        free(release);
        return NULL;
}

int release_parse(const void *payload, size_t size, Release **ret, Error *error) {
        static const DocumentName name = { "release", "app", "version" };
        _cleanup_release_ Release *release = calloc(1, sizeof(*release));
        int r;

        if (!release)
                return error_oom(error);
        r = document_parse(&release_type, &name, payload, size, RELEASE_PAYLOAD_SIZE_MAX, release, error);
        if (r < 0)
                return r;
        r = document_digest(payload, size, release->sha256, error);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(release);
        return 0;
}

int release_open(const TrustRoot *root, const void *envelope, size_t size, uint64_t now, const char *app,
                 const char *version, const char *sha256, Release **ret, Error *error) {
        _cleanup_free_ uint8_t *payload = NULL;
        _cleanup_release_ Release *release = NULL;
        char name[DOCUMENT_NAME_MAX];
        int r;

        snprintf(name, sizeof(name), "release %s %s", app, version);
        r = trust_root_verify_document(root, TRUST_ROLE_RELEASE, name, RELEASE_TYPE, envelope, size, now,
                                       &payload, &size, error);
        if (r >= 0)
                r = release_parse(payload, size, &release, error);
        if (r < 0)
                return r;
        if (strcmp(release->app, app) != 0 || strcmp(release->version, version) != 0)
                return error_set_fault(error, -EBADMSG, FAULT_INPUT, "%s: expected this release, found %s %s",
                                       name, release->app, release->version);
        if (sha256 && strcmp(release->sha256, sha256) != 0)
                return error_set_fault(error, -EBADMSG, FAULT_INPUT,
                                       "%s: the target names the digest %s, this release has %s", name,
                                       sha256, release->sha256);
        *ret = TAKE_PTR(release);
        return 0;
}

int release_to_json(const Release *release, char **ret, size_t *ret_size, Error *error) {
        _cleanup_release_ Release *check = NULL;
        _cleanup_free_ char *text = NULL;
        size_t size;
        int r;

        r = document_write(&release_type, release, &text, &size, error);
        if (r >= 0)
                r = release_parse(text, size, &check, error);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(text);
        *ret_size = size;
        return 0;
}

static int copy_artifact(const ReleaseArtifact *from, ReleaseArtifact *to) {
        char *platform = strdup(from->platform);
        ReleaseChunk *chunks = calloc(from->chunks.n + 1, sizeof(*chunks));
        ReleaseOrigin origin = {};

        if (!platform || !chunks || release_origin_copy(&from->origin, &origin) < 0) {
                free(platform);
                free(chunks);
                return -ENOMEM;
        }
        if (from->chunks.n > 0)
                memcpy(chunks, from->chunks.items, from->chunks.n * sizeof(*chunks));
        *to = *from;
        to->platform = platform;
        to->origin = origin;
        to->chunks.items = chunks;
        return 0;
}

int release_add_artifact(Release *release, const ReleaseArtifact *artifact, Error *error) {
        size_t n = release->artifacts.n, at = 0;
        ReleaseArtifact copy, *items;
        int order = 1;

        for (; at < n; at++) {
                order = strcmp(release->artifacts.items[at].platform, artifact->platform);
                if (order >= 0)
                        break;
        }
        if (order == 0)
                return error_set_fault(error, -EEXIST, FAULT_INPUT,
                                       "release %s %s: there is an artifact for %s already", release->app,
                                       release->version, artifact->platform);
        items = reallocarray(release->artifacts.items, n + 1, sizeof(*items));
        if (!items)
                return error_oom(error);
        release->artifacts.items = items;
        if (copy_artifact(artifact, &copy) < 0)
                return error_oom(error);
        memmove(items + at + 1, items + at, (n - at) * sizeof(*items));
        items[at] = copy;
        release->artifacts.n++;
        return 0;
}

const ReleaseArtifact *release_find_artifact(const Release *release, const char *platform) {
        const ReleaseArtifact *any = NULL;

        for (size_t i = 0; i < release->artifacts.n; i++) {
                const ReleaseArtifact *artifact = release->artifacts.items + i;

                if (strcmp(artifact->platform, platform) == 0)
                        return artifact;
                if (strcmp(artifact->platform, "any") == 0)
                        any = artifact;
        }
        return any;
}

const char *release_platform(void) {
#if defined(__x86_64__)
        return "linux/amd64";
#elif defined(__aarch64__)
        return "linux/arm64";
#else
#error "name this platform"
#endif
}

static bool is_digit(char c) {
        return c >= '0' && c <= '9';
}

/* Whether VERSION stands in TEXT as a whole: "1.4" is neither in "1.4.2" nor in "11.4" nor in "2.1.4". */
static bool has_version(const char *text, const char *version) {
        size_t n = strlen(version);

        for (const char *at = text; (at = strstr(at, version)); at++) {
                bool begins = at == text || (!is_digit(at[-1]) && at[-1] != '.');
                bool ends = !is_digit(at[n]) && !(at[n] == '.' && is_digit(at[n + 1]));

                if (begins && ends)
                        return true;
        }
        return false;
}

bool release_health_asserts_version(const Release *release, const ReleaseHealth *health) {
        return (health->body && has_version(health->body, release->version)) ||
               (health->header && has_version(health->header, release->version));
}
