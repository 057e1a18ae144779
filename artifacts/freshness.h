#pragma once

/* Freshness: "this target is current until ...", signed by the role freshness, which can refresh a target but not choose
 * one. The payload of a DSSE envelope of FRESHNESS_TYPE, kept as apps/<app>/groups/<group>/freshness.json:
 *
 *   { "app": "api", "group": "prod", "serial": 18, "target_sha256": "...", "issued": "...", "expires": "..." } */

#include "artifacts/document.h"
#include "artifacts/target.h"
#include "artifacts/trust_root.h"

#define FRESHNESS_TYPE "application/vnd.muster.freshness.v1+json"
#define FRESHNESS_PAYLOAD_SIZE_MAX (16U * 1024)

typedef struct Freshness {
        char *app;
        char *group;
        uint64_t serial;
        char target_sha256[DIGEST_HEX_SIZE];
        uint64_t issued, expires; /* microseconds since 1970 */
        char *min_agent;
} Freshness;

Freshness *freshness_free(Freshness *freshness);
DEFINE_CLEANUP(Freshness *, freshness_free)
#define _cleanup_freshness_ _cleanup_(freshness_freep)

/* Parses a payload that has been verified. -EBADMSG, -EPROTONOSUPPORT. */
int freshness_parse(const void *payload, size_t size, Freshness **ret, Error *error);

/* Verifies, parses and compares app and group. As trust_root_verify_document() and freshness_parse(). */
int freshness_open(const TrustRoot *root, const void *envelope, size_t size, uint64_t now, const char *app,
                   const char *group, Freshness **ret, Error *error);

/* The canonical payload, to be signed. New memory. */
int freshness_to_json(const Freshness *freshness, char **ret, size_t *ret_size, Error *error);

/* Whether TARGET is the current one at NOW: the same serial and digest, and not expired. -ESTALE. */
int freshness_check(const Freshness *freshness, const Target *target, uint64_t now, Error *error);
