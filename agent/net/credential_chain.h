#pragma once

/* AWS credentials and where they come from, in the order of the AWS SDKs: the environment (AWS_ACCESS_KEY_ID and so on), a
 * web identity (AWS_WEB_IDENTITY_TOKEN_FILE, AWS_ROLE_ARN), the profile of the shared files (AWS_PROFILE), the container's
 * endpoint (AWS_CONTAINER_CREDENTIALS_*), the instance's role through IMDS. credential_lookup.h walks through these places;
 * here they are kept.
 *
 * Credentials that end are renewed ahead of that, while the old ones go on being used. Those of an instance are used
 * even past their end where IMDS has no newer ones or does not answer ("static stability" of the AWS SDKs): the service
 * decides, and credentials_reject() tells what it said. */

#include <systemd/sd-event.h>

#include "agent/base/clock.h"
#include "agent/base/error.h"
#include "agent/net/credential_lookup.h"

typedef struct CredentialChain CredentialChain;
typedef struct CredentialRequest CredentialRequest;

/* Environment and region are copied; the rest of what CONTEXT points to must outlive the result. */
int credential_chain_new(const CredentialContext *context, CredentialChain **ret, Error *error);

/* All its requests must have been freed. */
CredentialChain *credential_chain_free(CredentialChain *chain);
DEFINE_CLEANUP(CredentialChain *, credential_chain_free)

/* -ENOKEY: there are none, and the sentence says where they were looked for; else what the source failed with. */
typedef void (*CredentialDone)(CredentialRequest *request, int result, const Error *error, void *userdata);

int credentials_start(CredentialChain *chain, CredentialDone done, void *userdata, CredentialRequest **ret,
                      Error *error);
CredentialRequest *credential_request_free(CredentialRequest *request);
DEFINE_CLEANUP(CredentialRequest *, credential_request_free)

/* Belongs to the chain and is good until control returns to the event loop; NULL unless the result was 0. */
const Credentials *credential_request_get(const CredentialRequest *request);

/* Where those in use come from, for messages: "the instance's role"; NULL: there are none yet. */
const char *credentials_source(const CredentialChain *chain);

/* A service refused these keys (expired, unknown token). The next request asks the source anew, unless there are newer
 * ones by now. False: asking again is of no use, since the source is fixed. */
bool credentials_reject(CredentialChain *chain, const char *access_key_id, const char *session_token);

/* The next request asks the source anew, where there may be newer ones. */
void credentials_get_anew(CredentialChain *chain);

/* How far the wall clock is known to be behind the services' (negative: ahead), for the comparison with expiration. */
void credentials_set_skew(CredentialChain *chain, int64_t skew_usec);

/* Where STS is asked from now on. -ENOMEM. */
int credentials_set_region(CredentialChain *chain, const char *region);
