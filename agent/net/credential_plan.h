#pragma once

/* How a profile of the shared files comes to its credentials: from where the first ones are, and which roles are then assumed
 * one after the other ("Assume role credential provider", AWS SDKs and Tools Reference Guide). Pure. */

#include "agent/net/aws_profile.h"
#include "agent/net/credentials.h"

#define CREDENTIAL_ROLES_MAX 8U /* one after the other */

typedef enum CredentialBase {
        CREDENTIAL_BASE_KEYS,         /* in the plan */
        CREDENTIAL_BASE_PROCESS,      /* a command prints them */
        CREDENTIAL_BASE_WEB_IDENTITY, /* a token in a file, for the plan's first role */
        CREDENTIAL_BASE_ENVIRONMENT,  /* credential_source = Environment, */
        CREDENTIAL_BASE_INSTANCE,     /* Ec2InstanceMetadata, */
        CREDENTIAL_BASE_CONTAINER,    /* EcsContainer */
} CredentialBase;

typedef struct CredentialRole {
        const char *arn;
        const char *session_name; /* NULL: none given, as all of these */
        const char *external_id;
        unsigned duration; /* seconds; 0: not given */
} CredentialRole;

/* Points into the profiles. */
typedef struct CredentialPlan {
        CredentialBase base;
        Credentials keys;
        const char *command;
        const char *token_file;
        CredentialRole roles[CREDENTIAL_ROLES_MAX]; /* in the order in which they are assumed */
        size_t n_roles;
} CredentialPlan;

/* -ENOKEY: the profile has no credentials, with why; -EINVAL: what it says cannot be followed (half a pair of keys, a loop,
 * a second factor, single sign-on). */
int credential_plan_make(const AwsProfiles *profiles, const char *profile, CredentialPlan *ret, Error *error);
