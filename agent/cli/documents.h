#pragma once

/* Signed documents in the depot, fetched and verified. */

#include "agent/cli/depot_access.h"
#include "artifacts/freshness.h"
#include "artifacts/release.h"
#include "artifacts/target.h"

/* A document as it lies there. */
typedef struct StoredDocument {
        uint8_t *envelope; /* NULL: there is none */
        size_t size;
        char *etag;
        uint64_t server_time; /* the depot's clock as it answered; 0: not known */
} StoredDocument;

void stored_document_deinit(StoredDocument *document);
#define _cleanup_stored_document_ _cleanup_(stored_document_deinit)

/* A missing one is no error. */
int documents_read_release(const DepotAccess *access, const char *app, const char *version,
                           StoredDocument *ret, Error *error);
int documents_read_target(const DepotAccess *access, const char *app, const char *group, StoredDocument *ret,
                          Error *error);
int documents_read_freshness(const DepotAccess *access, const char *app, const char *group,
                             StoredDocument *ret, Error *error);

/* The sentence for a missing one; -ENOENT. */
int documents_no_release(const DepotAccess *access, const char *app, const char *version, Error *error);
int documents_no_target(const DepotAccess *access, const char *app, const char *group, Error *error);

/* Fetched, verified, parsed. SHA256 may be NULL. -ENOENT. */
int documents_get_release(const DepotAccess *access, const TrustRoot *root, uint64_t now, const char *app,
                          const char *version, const char *sha256, Release **ret, Error *error);
int documents_get_target(const DepotAccess *access, const TrustRoot *root, uint64_t now, const char *app,
                         const char *group, Target **ret, Error *error);

/* The payload of an envelope whose signature was not checked, or was checked elsewhere. New memory. */
int documents_payload(const char *name, const StoredDocument *document, uint8_t **ret, size_t *ret_size,
                      Error *error);
