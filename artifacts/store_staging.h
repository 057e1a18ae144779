#pragma once

/* A new release on its way into the store.
 *
 * store_stage() makes an empty folder that belongs to the unpacker's user. Once the unpacker is gone, with every process
 * of its unit, store_commit() looks at what it left there, without trusting it: nothing but folders, files and links that
 * stay inside, all of them the unpacker's own, as many and as large as was signed. They are given to their owner, made
 * durable, and renamed into releases/, the envelope first. store_commit() blocks; store_commit_start() does the same in a
 * child process. */

#include <sys/types.h>
#include <systemd/sd-event.h>

#include "artifacts/store.h"

#define STORE_FLUSH_ENTRIES 1000U /* a tree of that many is sent to the disk while it is looked at */

typedef struct StoreStaging {
        char *name;
        char *path; /* absolute */
        int fd;     /* open since before anything was written: so that syncfs reports every error */
} StoreStaging;

/* A new staging folder, mode 0700, for the unpacker's user. */
int store_stage(const ReleaseStore *store, uid_t uid, gid_t gid, StoreStaging **ret, Error *error);

/* Closes it; the folder stays until store_clean(). Returns NULL. */
StoreStaging *store_staging_free(StoreStaging *staging);
DEFINE_CLEANUP(StoreStaging *, store_staging_free)

typedef struct StoreRelease {
        const char *version;
        const char *sha256; /* 64 hex digits, of the release's payload */
        const void *envelope;
        size_t envelope_size;
        const char *tree_sha256; /* of the tree's manifest, "" if none was signed; NULL: make no manifest */
        uint64_t entries;        /* as signed */
        uint64_t unpacked_size;
        uid_t unpacker; /* whom everything in the staging folder must belong to */
        uid_t owner;    /* and whom it is given to */
        gid_t group;
        bool replace; /* the tree that is there already is not to be used: it changes places with the staged one */
} StoreRelease;

/* 0, also if the same release is there already: it is kept as it is, unless it is to be replaced. -EBADMSG, the
 * release's fault, for anything in the staging folder that was not signed; errors of the disk are the host's. */
int store_commit(const ReleaseStore *store, const StoreStaging *staging, const StoreRelease *release,
                 Error *error);

typedef struct StoreCommit StoreCommit;
typedef void (*StoreCommitDone)(StoreCommit *commit, int result, const Error *error, void *userdata);

int store_commit_start(const ReleaseStore *store, sd_event *event, const StoreStaging *staging,
                       const StoreRelease *release, StoreCommitDone done, void *userdata, StoreCommit **ret,
                       Error *error);
StoreCommit *store_commit_free(StoreCommit *commit);
DEFINE_CLEANUP(StoreCommit *, store_commit_free)
