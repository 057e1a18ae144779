#pragma once

/* A release: what one version of an app is made of and how it is brought up (DESIGN.md, "Documents"). The payload of a
 * DSSE envelope of RELEASE_TYPE, signed by the role release, created once as apps/<app>/releases/<version>.json.
 *
 * Everything in a Release has been checked: names, versions and digests are well-formed, paths are relative without "..",
 * the chunks add up to the size, and each health check has what its type needs. Times and durations are microseconds;
 * texts that are not there are NULL. */

#include "artifacts/archive_format.h"
#include "artifacts/document.h"
#include "artifacts/release_files.h"
#include "artifacts/release_health.h"
#include "artifacts/release_hook.h"
#include "artifacts/release_origin.h"
#include "artifacts/release_permission.h"
#include "artifacts/release_unit.h"
#include "artifacts/trust_root.h"

#define RELEASE_TYPE "application/vnd.muster.release.v1+json"
#define RELEASE_PAYLOAD_SIZE_MAX (2U * 1024 * 1024)

/* The oldest agent that may act on what release_to_json() writes. */
#define RELEASE_MIN_AGENT "0.1"

#define RELEASE_PLATFORMS_MAX 16U
#define RELEASE_CHUNKS_MAX 4096U
#define RELEASE_CHUNK_SIZE_MIN (4U * 1024)
#define RELEASE_CHUNK_SIZE_MAX (16U * 1024 * 1024)
#define RELEASE_UNPACKED_SIZE_MAX (UINT64_C(1) << 40)
#define RELEASE_ENTRIES_MAX UINT64_C(1000000)

typedef struct ReleaseChunk {
        uint8_t sha256[DIGEST_SIZE];
} ReleaseChunk;

typedef struct ReleaseArtifact {
        char *platform; /* "linux/amd64", or "any" */
        char sha256[DIGEST_HEX_SIZE];
        uint64_t size;
        ArchiveFormat format;
        uint64_t unpacked_size; /* of all regular files */
        uint64_t entries;
        char tree_sha256
                [DIGEST_HEX_SIZE]; /* of the unpacked tree's manifest (tree_manifest.h); "": it was published without */
        bool wrapping_folder; /* all of the archive lies in one folder, which is taken off, as CodeDeploy does it */
        uint64_t chunk_size;
        ReleaseOrigin origin;
        SCHEMA_LIST(ReleaseChunk) chunks; /* the last one may be of a shorter piece */
} ReleaseArtifact;

/* Whether requests go elsewhere while the app changes. */
typedef enum ReleaseTraffic {
        RELEASE_TRAFFIC_NONE, /* the instance stays in its target groups */
        RELEASE_TRAFFIC_TARGET_GROUP, /* it leaves them before ApplicationStop and joins them after the health checks */
} ReleaseTraffic;

typedef struct Release {
        char *app;
        char *version;
        uint64_t created;
        char *min_agent;
        char *commit;                           /* of the source that it was built from; NULL: not known */
        SCHEMA_LIST(ReleaseArtifact) artifacts; /* sorted by platform, which is the key */
        ReleaseFiles files;
        ReleasePermissions permissions;
        unsigned file_exists; /* ReleaseFileExists */
        ReleaseHooks hooks[LIFECYCLE_EVENT_COUNT];
        ReleaseUnits units;
        ReleaseHealths health;
        unsigned traffic;             /* ReleaseTraffic */
        DocumentEnvironment env;      /* sorted by name */
        char sha256[DIGEST_HEX_SIZE]; /* of the payload it was parsed from; "" for one that was made here */
} Release;

Release *release_free(Release *release);
DEFINE_CLEANUP(Release *, release_free)
#define _cleanup_release_ _cleanup_(release_freep)

/* Parses a payload that has been verified (or that root handed over, for a local deploy). -EBADMSG, and
 * -EPROTONOSUPPORT if it asks for a newer muster. */
int release_parse(const void *payload, size_t size, Release **ret, Error *error);

/* Verifies, parses and compares with what was asked for, in this order; the whole way from the depot's bytes to a
 * Release. SHA256 is the digest a target names, NULL if none does. As trust_root_verify_document() and
 * release_parse(); -EBADMSG too if the release is another one than was asked for. */
int release_open(const TrustRoot *root, const void *envelope, size_t size, uint64_t now, const char *app,
                 const char *version, const char *sha256, Release **ret, Error *error);

/* The canonical payload, to be signed. New memory. -EBADMSG if it breaks a rule that release_parse() has. */
int release_to_json(const Release *release, char **ret, size_t *ret_size, Error *error);

/* Adds a copy of an artifact, in its place by platform. -EEXIST if there is one for its platform. */
int release_add_artifact(Release *release, const ReleaseArtifact *artifact, Error *error);

/* The artifact for PLATFORM, else the one for "any"; NULL. */
const ReleaseArtifact *release_find_artifact(const Release *release, const char *platform);

/* The platform of the machine this was compiled for, "linux/amd64". */
const char *release_platform(void);

/* Whether a good answer to this check proves that the new version gave it: what it expects has the version in it. */
bool release_health_asserts_version(const Release *release, const ReleaseHealth *health);

/* "none" or "target-group". */
extern const SchemaType release_traffic_type;
