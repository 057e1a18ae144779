#pragma once

/* A deployment as JSON, as the deploy record and the history keep it, and the notations that the record shares with it.
 * Times are microseconds since 1970 in memory and RFC 3339 in JSON; none is 0, and null. */

#include <jansson.h>

#include "agent/deployment.h"

/* -ENOMEM. */
int deployment_to_json(const Deployment *deployment, json_t **ret);

/* -EINVAL for what is none. */
int deployment_from_json(json_t *json, Deployment *ret, Error *error);

/* NULL: out of memory. The others: -EINVAL, -ENOMEM. */
json_t *time_to_json(uint64_t usec);
int time_from_json(json_t *json, uint64_t *ret);
json_t *release_ref_to_json(const ReleaseRef *ref);
int release_ref_from_json(json_t *json, ReleaseRef *ret);

int strv_to_json(char *const *strv, json_t **ret);
int strv_from_json(json_t *json, char ***ret);

/* 64 digits, or "". */
int digest_from_json(json_t *json, char ret[static DIGEST_HEX_SIZE]);
