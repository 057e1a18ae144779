#pragma once

/* The depot that a command works on, and the trust root it believes: from options, environment, or what the package
 * installed on this machine. */

#include "agent/cli/cli.h"
#include "agent/cli/option.h"
#include "artifacts/depot.h"
#include "artifacts/trust_root.h"

#define TRUST_ROOT_PATH "/etc/muster/root.json"

typedef struct DepotValues {
        const char *uri;
        const char *config;
} DepotValues;

/* Rows for the option table of a command whose structure has a DepotValues. */
#define DEPOT_OPTIONS(structure, member)                                                                     \
        { .name = "depot",                                                                                   \
          .letter = 'd',                                                                                     \
          .type = OPTION_TEXT,                                                                               \
          OPTION_INTO(structure, member.uri),                                                                \
          .value = "URI",                                                                                    \
          .help = "the depot: s3://bucket/prefix or file:///folder (otherwise the configuration's)",         \
          .environment = "MUSTER_DEPOT" },                                                                   \
        {                                                                                                    \
                .name = "config", .type = OPTION_PATH, OPTION_INTO(structure, member.config),                \
                .value = "FILE", .help = "configuration with the depot and how AWS is reached",              \
                .initial = CONFIG_PATH, .environment = "MUSTER_CONFIG"                                       \
        }

#define ROOT_OPTION(structure, member)                                                                       \
        {                                                                                                    \
                .name = "root", .letter = 'r', .type = OPTION_PATH, OPTION_INTO(structure, member),          \
                .value = "FILE", .help = "the trust root", .initial = TRUST_ROOT_PATH,                       \
                .environment = "MUSTER_ROOT"                                                                 \
        }

typedef struct DepotAccess {
        sd_event *event;
        struct AwsContext *aws;
        Depot *depot;
} DepotAccess;

void depot_access_deinit(DepotAccess *access);
#define _cleanup_depot_access_ _cleanup_(depot_access_deinit)

/* -EDESTADDRREQ if no depot is named anywhere. */
int depot_access_open(const DepotValues *values, DepotAccess *ret, Error *error);

/* Reads a document of at most LIMIT bytes. -ENOENT with a sentence that begins with WHAT ("release api 1.4.2"). RET_ETAG may be
 * NULL. New memory, followed by a zero byte that does not count. */
int depot_access_get(const DepotAccess *access, const char *key, size_t limit, const char *what,
                     uint8_t **ret, size_t *ret_size, char **ret_etag, Error *error);

/* Writes a document. 0, or 1 if CONDITION did not hold. */
int depot_access_put(const DepotAccess *access, const char *key, const void *data, size_t size,
                     DepotCondition condition, const char *etag, Error *error);

int trust_root_read(const char *path, TrustRoot **ret, Error *error);
