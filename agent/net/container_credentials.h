#pragma once

/* Credentials from the endpoint that ECS, EKS Pod Identity and others give to a container ("Container credential provider",
 * AWS SDKs and Tools Reference Guide): AWS_CONTAINER_CREDENTIALS_RELATIVE_URI, at http://169.254.170.2, or
 * AWS_CONTAINER_CREDENTIALS_FULL_URI, over https or at a loopback address or one of the two services' own; with the header
 * Authorization from AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE (read anew each time) or AWS_CONTAINER_AUTHORIZATION_TOKEN. Never
 * through a proxy. */

#include <stdbool.h>

#include "agent/net/credentials.h"
#include "agent/net/http.h"

#define CONTAINER_TOKEN_MAX 20000U

typedef struct ContainerCredentials ContainerCredentials;

typedef void (*ContainerCredentialsDone)(ContainerCredentials *request, int result, const Error *error,
                                         void *userdata);

/* Whether either of the two URIs is set. */
bool container_credentials_is_configured(char *const *environment);

/* -EINVAL for a URI or a token that may not be used. */
int container_credentials_start(HttpClient *http, char *const *environment, ContainerCredentialsDone done,
                                void *userdata, ContainerCredentials **ret, Error *error);
ContainerCredentials *container_credentials_free(ContainerCredentials *request);
DEFINE_CLEANUP(ContainerCredentials *, container_credentials_free)

/* Hands them over. */
Credentials container_credentials_take(ContainerCredentials *request);
