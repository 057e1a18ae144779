#pragma once

/* EC2 instance metadata, version 2 only: a session token first, then one GET for each item ("Use IMDSv2" in the EC2
 * user guide). The token is kept and renewed ahead of its end; an answer 401 makes for one new token. The address is
 * http://169.254.169.254, or http://[fd00:ec2::254] where only IPv6 leads there, unless the environment says otherwise:
 * AWS_EC2_METADATA_SERVICE_ENDPOINT (a URL), AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE (IPv4, IPv6),
 * AWS_EC2_METADATA_DISABLED. Never through a proxy. */

#include "agent/base/clock.h"
#include "agent/net/http.h"

#define IMDS_VALUE_MAX (64U * 1024U)
#define IMDS_TOKEN_TTL_SECONDS 21600U /* the most that the service gives */
#define IMDS_CONNECT_TIMEOUT (1 * USEC_PER_SEC)
#define IMDS_TOTAL_TIMEOUT (2 * USEC_PER_SEC)
#define IMDS_ATTEMPTS_MAX 3U

typedef struct Imds Imds;
typedef struct ImdsRequest ImdsRequest;

/* ENVIRONMENT as environ(7), read here and not kept; CLOCK and HTTP must outlive the result. */
int imds_new(HttpClient *http, const Clock *clock, char *const *environment, Imds **ret, Error *error);

/* All its requests must have been freed. */
Imds *imds_free(Imds *imds);
DEFINE_CLEANUP(Imds *, imds_free)

/* Where it asks now, for messages. */
const char *imds_endpoint(const Imds *imds);

/* The session token, which may be of another time. */
void imds_forget(Imds *imds);

/* RESULT is 0 (there is a value), IMDS_ABSENT (404: this instance has no such item) or a negative errno: those of
 * http.h, -EACCES where the service refuses (403: metadata is turned off for the instance), -EREMOTEIO for any other
 * answer. */
#define IMDS_ABSENT 1
typedef void (*ImdsDone)(ImdsRequest *request, int result, const Error *error, void *userdata);

/* PATH such as "meta-data/instance-id" or "dynamic/instance-identity/document". -EOPNOTSUPP at once where metadata is
 * turned off by AWS_EC2_METADATA_DISABLED. */
int imds_get_start(Imds *imds, const char *path, ImdsDone done, void *userdata, ImdsRequest **ret,
                   Error *error);
ImdsRequest *imds_request_free(ImdsRequest *request);
DEFINE_CLEANUP(ImdsRequest *, imds_request_free)

/* The item without white space at its end; "" unless the result was 0. */
const char *imds_request_value(const ImdsRequest *request);
