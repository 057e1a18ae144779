#pragma once

/* A signed trust root as a file: read, checked, published. */

#include "agent/cli/cli.h"
#include "agent/cli/depot_access.h"
#include "agent/cli/key_source.h"
#include "artifacts/trust_root.h"

#define ROOT_KEY_FILE_VARIABLE "MUSTER_ROOT_KEY_FILE"

typedef struct RootFile {
        char *envelope;
        size_t size;
} RootFile;

void root_file_deinit(RootFile *file);
#define _cleanup_root_file_ _cleanup_(root_file_deinit)

int root_file_read(const char *path, RootFile *ret, Error *error);

/* The keys of PATHS (--root-key), or the one in the environment. */
int root_file_load_signers(char *const *paths, KeyList *signers, Error *error);

/* Whether all who must have signed have; -EKEYREJECTED if not. NAME is for messages, OLD may be NULL. */
int root_file_check(const RootFile *file, const char *name, const TrustRoot *old, uint64_t now,
                    TrustRoot **ret, Error *error);

/* Says who else must sign the file at PATH. */
void root_file_say_incomplete(const Cli *cli, const char *path, const Error *missing);

/* Puts it into the depot, where its predecessor must be and must vouch for it. -EEXIST if another root has its version;
 * that the same one is there already is told and is no failure. */
int root_file_publish(const Cli *cli, const char *path, const RootFile *file, const DepotValues *values,
                      Error *error);
