#pragma once

/* The release store of one app: the folder <state_dir>/apps/<app>/ with
 *
 *     releases/<version>-<first 12 of the release's digest>/        a whole, verified, durable tree
 *     releases/<version>-<first 12 of the release's digest>.json    the signed envelope that it came with
 *     releases/<version>-<first 12 of the release's digest>.tree    what it was when it came (store_tree.h); may be missing
 *     current -> releases/<…>                                       what runs; repointed by one rename
 *     staging/<random>/                                             what is being unpacked (store_staging.h)
 *
 * A folder under releases/ got there by one rename after everything in it, and its envelope, were durable: that it is
 * there means that it is whole. Faults of the disk are the host's, never the release's. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/statvfs.h>

#include "agent/base/buffer.h"
#include "agent/base/cleanup.h"
#include "agent/base/error.h"

#define STORE_DIGEST_DIGITS 12
#define STORE_NAME_SIZE (64 + 1 + STORE_DIGEST_DIGITS + 1) /* version, "-", digits, zero byte */

/* A release has up to 4,096 chunk digests; base64 adds a third. */
#define STORE_ENVELOPE_MAX (4U << 20)
#define STORE_ENVELOPE_MODE 0600

typedef struct ReleaseStore {
        char *path; /* absolute: <state_dir>/apps/<app> */
        int app_fd;
        int releases_fd;
        int staging_fd;
} ReleaseStore;

/* Opens the store, creating its folders where they are missing. -EINVAL for an app's name that is none. */
int store_open(const char *state_dir, const char *app, ReleaseStore **ret, Error *error);
ReleaseStore *store_free(ReleaseStore *store);
DEFINE_CLEANUP(ReleaseStore *, store_free)

/* Whether its folders are still what its path names: somebody may have removed them, or mounted something over them. */
bool store_is_in_place(const ReleaseStore *store);

/* The name of a release in the store; SHA256 are the 64 hex digits of its digest. -EINVAL. */
int store_name(const char *version, const char *sha256, char ret[static STORE_NAME_SIZE]);
bool store_name_is_valid(const char *name);

/* "<name>.json" */
#define STORE_ENVELOPE_NAME_SIZE (STORE_NAME_SIZE + 5)
void store_envelope_name(const char *name, char ret[static STORE_ENVELOPE_NAME_SIZE]);

/* What a release needs while it comes into the store. */
typedef struct StoreNeed {
        uint64_t bytes;   /* of its files, and of an archive that is received first */
        uint64_t entries; /* each an inode, and at least a block */
} StoreNeed;

#define STORE_RESERVE_AUTO UINT64_MAX /* 5 % of the file system: at most 256 MiB, or 10,000 inodes */

/* What must be left free. */
typedef struct StoreReserve {
        uint64_t bytes;
        uint64_t inodes;
} StoreReserve;

/* What that comes to on a file system. */
StoreReserve store_reserve_of(const StoreReserve *reserve, const struct statvfs *fs);

/* Whether there is room. -ENOSPC, the host's fault, with how much is needed and how much is there. */
int store_admit(const ReleaseStore *store, const StoreNeed *need, const StoreReserve *reserve, Error *error);

/* Whether a whole release of that name is there. */
bool store_has(const ReleaseStore *store, const char *name);

/* A descriptor of the release's folder. -ENOENT. */
int store_open_release(const ReleaseStore *store, const char *name, Error *error);

/* Adds the envelope's bytes to BUFFER. -ENOENT, -E2BIG. */
int store_read_envelope(const ReleaseStore *store, const char *name, Buffer *buffer, Error *error);

/* Puts a release's envelope beside its tree, durably, in the place of another. */
int store_write_envelope(const ReleaseStore *store, const char *name, const void *data, size_t size,
                         Error *error);

typedef struct StoreEntry {
        char name[STORE_NAME_SIZE];
        uint64_t used; /* when it was committed or last made current; microseconds since 1970 */
} StoreEntry;

/* All whole releases, the one used last first. New memory. */
int store_list(const ReleaseStore *store, StoreEntry **ret, size_t *ret_count, Error *error);

/* What `current` names. 1, or 0 if there is none; -EBADMSG if it points to anything but a whole release. */
int store_current(const ReleaseStore *store, char ret[static STORE_NAME_SIZE], Error *error);

/* Repoints `current` by one rename, durably. -ENOENT if there is no such release. Who looks sees the old release or the
 * new one, also after a power cut. A folder that somebody put in its place is set aside as `current.bad`. */
int store_switch_current(const ReleaseStore *store, const char *name, Error *error);

/* Whether `current` names this release and its tree is there; its envelope may be lost. */
bool store_is_current(const ReleaseStore *store, const char *name);

/* Removes `current`, durably. None is no error. */
int store_remove_current(const ReleaseStore *store, Error *error);
