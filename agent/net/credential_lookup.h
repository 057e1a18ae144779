#pragma once

/* One walk through the places where credentials may be, in the order of the AWS SDKs' default chain. The places are rows of
 * one table in credential_lookup.c: another one is another row. credential_chain.h keeps and renews what is found. */

#include <systemd/sd-event.h>

#include "agent/base/error.h"
#include "agent/net/credentials.h"
#include "agent/net/endpoint.h"
#include "agent/net/imds.h"

typedef struct CredentialLookup CredentialLookup;

/* What the places are made of. Must outlive the lookup, but for this structure itself. */
typedef struct CredentialContext {
        sd_event *event;
        char *const *environment; /* AWS_* and HOME */
        Imds *imds;               /* NULL: not asked */
        HttpClient *http;         /* NULL: neither containers' endpoints nor STS are asked */
        const Clock *clock;
        const EndpointRules *endpoints;
        const char *region; /* of STS; NULL: us-east-1 */
} CredentialContext;

/* RESULT is 0 or a negative errno: -ENOKEY where no place has any, and the sentence says where they were looked for; a
 * place that has some but broken ones ends the walk with its own failure. */
typedef void (*CredentialLookupDone)(CredentialLookup *lookup, int result, const Error *error,
                                     void *userdata);

int credential_lookup_start(const CredentialContext *context, CredentialLookupDone done, void *userdata,
                            CredentialLookup **ret, Error *error);
CredentialLookup *credential_lookup_free(CredentialLookup *lookup);
DEFINE_CLEANUP(CredentialLookup *, credential_lookup_free)

/* Hands over what was found. */
Credentials credential_lookup_take(CredentialLookup *lookup);

/* The place that they were found in, for messages: "the instance's role". */
const char *credential_lookup_place(const CredentialLookup *lookup);

/* Whether the same place may have newer ones later. */
bool credential_lookup_is_renewable(const CredentialLookup *lookup);

/* Whether they are an instance's, which are good past their end where there are no newer ones. */
bool credential_lookup_is_stable(const CredentialLookup *lookup);
