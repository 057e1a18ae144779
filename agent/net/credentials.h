#pragma once

/* AWS credentials as values, and the JSON in which IMDS and container endpoints hand them out ("Retrieve security
 * credentials from instance metadata", EC2 User Guide). */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/base/error.h"

typedef struct Credentials {
        char *access_key_id;
        char *secret_access_key;
        char *session_token; /* NULL: long-term keys */
        uint64_t expiration; /* microseconds since 1970; USEC_INFINITY: never */
} Credentials;

void credentials_deinit(Credentials *credentials); /* wipes them */
int credentials_copy(const Credentials *credentials, Credentials *ret);
#define _cleanup_credentials_ _cleanup_(credentials_deinit)

/* Whether TEXT may be a key or a token: printable, not empty, without white space, so that it fits into a header. */
bool credentials_is_text(const char *text);

/* The JSON of IMDS and of container endpoints: Code, AccessKeyId, SecretAccessKey, Token, Expiration. -EBADMSG with
 * its sentence, which quotes nothing but Code and Message; -ENOMEM. */
int credentials_parse_json(const char *text, size_t size, Credentials *ret, Error *error);

/* The JSON of a credential_process: Version 1, AccessKeyId, SecretAccessKey, and perhaps SessionToken and Expiration. */
int credentials_parse_process(const char *text, size_t size, Credentials *ret, Error *error);
