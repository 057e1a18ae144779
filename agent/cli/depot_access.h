#pragma once

/* The depot that a command works on, and the trust root it believes: from options, environment, or what the package
 * installed on this machine. */

#include "agent/cli/cli.h"
#include "agent/cli/option.h"
#include "artifacts/depot.h"
#include "artifacts/trust_root.h"

/* Of one list: all that lies in a depot for fleets of ten thousand, with the marks of a hundred rollouts. S3's own limit of one
 * walk (s3.h) is the same. */
#define DEPOT_ACCESS_LIST_MAX 1000000U

typedef struct DepotValues {
        const char *uri;
        const char *config;
        char **aws; /* "KEY=VALUE" of [aws], over what the configuration says */
} DepotValues;

typedef struct DepotAccess {
        sd_event *event;
        AwsContext *aws; /* NULL for a folder */
        Depot *depot;
} DepotAccess;

void depot_access_deinit(DepotAccess *access);
#define _cleanup_depot_access_ _cleanup_(depot_access_deinit)

/* -EDESTADDRREQ if no depot is named anywhere. */
int depot_access_open(const DepotValues *values, DepotAccess *ret, Error *error);

/* How AWS is spoken to, whatever the depot is. */
int depot_access_aws(const DepotValues *values, sd_event **ret_event, AwsContext **ret, Error *error);

/* Reads a value of at most LIMIT bytes; that it is not there is an outcome. */
int depot_access_get(const DepotAccess *access, const char *key, size_t limit, DepotReply *ret, Error *error);

/* All keys that begin with PREFIX. */
int depot_access_list(const DepotAccess *access, const char *prefix, DepotReply *ret, Error *error);

/* Writes a document. 0, or 1 if CONDITION did not hold. */
int depot_access_put(const DepotAccess *access, const char *key, const void *data, size_t size,
                     DepotCondition condition, const char *etag, Error *error);

int trust_root_read(const char *path, TrustRoot **ret, Error *error);
