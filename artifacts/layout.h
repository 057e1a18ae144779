#pragma once

/* Where everything lies in a depot. Keys are relative to the depot and the same for s3:// and file://:
 *
 *   root/<N>.json                                        trust root, version N
 *   apps/<app>/releases/<version>.json                   release
 *   apps/<app>/artifacts/<sha256>.<format>               artifact
 *   apps/<app>/groups/<group>/target.json                target
 *   apps/<app>/groups/<group>/freshness.json             freshness of the target
 *   apps/<app>/groups/<group>/rollouts/<id>.json         rollout register
 *   apps/<app>/groups/<group>/rollouts/<id>/<kind>/<instance>.json    create-once mark of one instance
 *   apps/<app>/groups/<group>/instances/<instance>.json  instance report
 *   apps/<app>/groups/<group>/failures/<release sha256>/<instance>.json   why the launch of an instance failed
 *
 * Functions that make a key write it to RET and return 0, or -EINVAL with a sentence that names the part that
 * is no valid name; then RET is untouched. No part can hold a slash or begin with a dot, so that no name,
 * wherever it came from, can lead to another key. Those that make a prefix for depot_list_start() end it with
 * a slash. */

#include <stdbool.h>
#include <stdint.h>

#include "agent/base/error.h"
#include "artifacts/archive_format.h"

/* Enough for every key with names at their longest, with the zero byte. */
#define LAYOUT_KEY_MAX 512

/* Instance names: on AWS the caller's aws:userid ("AROAEXAMPLE:i-0123456789abcdef0"), elsewhere a host name.
 * 1 to 128 characters of [A-Za-z0-9._:@=,+-], the first one a letter or a digit. */
#define LAYOUT_INSTANCE_MAX 128
bool layout_instance_is_valid(const char *instance);

int layout_root(uint64_t version, char ret[static LAYOUT_KEY_MAX], Error *error);
int layout_release(const char *app, const char *version, char ret[static LAYOUT_KEY_MAX], Error *error);

/* SHA256 in lower-case hex. */
int layout_artifact(const char *app, const char *sha256, ArchiveFormat format,
                    char ret[static LAYOUT_KEY_MAX], Error *error);

int layout_target(const char *app, const char *group, char ret[static LAYOUT_KEY_MAX], Error *error);
int layout_freshness(const char *app, const char *group, char ret[static LAYOUT_KEY_MAX], Error *error);
int layout_rollout(const char *app, const char *group, const char *rollout, char ret[static LAYOUT_KEY_MAX],
                   Error *error);

/* KIND says what the mark is ("healthy", "failed"). */
int layout_mark(const char *app, const char *group, const char *rollout, const char *kind,
                const char *instance, char ret[static LAYOUT_KEY_MAX], Error *error);

int layout_instance(const char *app, const char *group, const char *instance, char ret[static LAYOUT_KEY_MAX],
                    Error *error);

/* SHA256 of the release that failed. */
int layout_failure(const char *app, const char *group, const char *sha256, const char *instance,
                   char ret[static LAYOUT_KEY_MAX], Error *error);

/* Prefixes to list. */
#define LAYOUT_ROOTS "root/"
#define LAYOUT_APPS "apps/"
int layout_releases(const char *app, char ret[static LAYOUT_KEY_MAX], Error *error);
int layout_artifacts(const char *app, char ret[static LAYOUT_KEY_MAX], Error *error);
int layout_rollout_marks(const char *app, const char *group, const char *rollout,
                         char ret[static LAYOUT_KEY_MAX], Error *error);
int layout_marks(const char *app, const char *group, const char *rollout, const char *kind,
                 char ret[static LAYOUT_KEY_MAX], Error *error);
int layout_instances(const char *app, const char *group, char ret[static LAYOUT_KEY_MAX], Error *error);
int layout_failures(const char *app, const char *group, char ret[static LAYOUT_KEY_MAX], Error *error);
int layout_failures_of_release(const char *app, const char *group, const char *sha256,
                               char ret[static LAYOUT_KEY_MAX], Error *error);

/* What the document at PREFIX (one of the prefixes above) is named after: the version of a release, the id of
 * a rollout or an instance, the number of a root. KEY must be PREFIX, one component and ".json"; -EINVAL for
 * anything else, such as a foreign file in the depot. */
int layout_document_name(const char *key, const char *prefix, char ret[static LAYOUT_KEY_MAX]);

/* How many bytes of KEY, up to and with the slash, are the folder of its group; 0 if it is in none. */
size_t layout_group_folder_length(const char *key);

/* What a key is, taken apart: the way back from the functions above. Anything that none of them makes is foreign. */
typedef enum LayoutKind {
        LAYOUT_KIND_FOREIGN,
        LAYOUT_KIND_RELEASE,
        LAYOUT_KIND_ARTIFACT,
        LAYOUT_KIND_TARGET,
        LAYOUT_KIND_FRESHNESS,
        LAYOUT_KIND_REGISTER,
        LAYOUT_KIND_MARK,
        LAYOUT_KIND_REPORT,
        LAYOUT_KIND_FAILURE,
        LAYOUT_KINDS,
} LayoutKind;

#define LAYOUT_PART_MAX (LAYOUT_INSTANCE_MAX + 1)

typedef struct LayoutKey {
        LayoutKind kind;
        char app[LAYOUT_PART_MAX];
        char group[LAYOUT_PART_MAX]; /* "" where there is none */
        char name
                [LAYOUT_PART_MAX]; /* a release's version, an artifact's or a failed release's SHA-256, a register's or a
                                        mark's rollout, a report's instance; else "" */
} LayoutKey;

void layout_parse(const char *key, LayoutKey *ret);

/* "release", "artifact" and so on. */
const char *layout_kind_to_string(LayoutKind kind);
