#pragma once

/* The files that the AWS command line shares with the SDKs ("Shared config and credentials files", AWS SDKs and Tools
 * Reference Guide): ~/.aws/config with sections [default], [profile NAME] and [services NAME], ~/.aws/credentials
 * with sections [NAME]. What the credentials file says wins; keys are never mixed from both. */

#include <stdbool.h>
#include <stddef.h>

#include "agent/base/cleanup.h"
#include "agent/base/error.h"

#define AWS_PROFILE_FILE_MAX (1024U * 1024U)
#define AWS_PROFILE_ENTRIES_MAX 10000U

typedef enum AwsProfileFile {
        AWS_PROFILE_CONFIG,
        AWS_PROFILE_CREDENTIALS,
} AwsProfileFile;

typedef struct AwsProfiles AwsProfiles;

/* -ENOMEM. */
int aws_profiles_new(AwsProfiles **ret);
AwsProfiles *aws_profiles_free(AwsProfiles *profiles); /* wipes what they hold */
DEFINE_CLEANUP(AwsProfiles *, aws_profiles_free)

/* Adds what one file says; the config file comes first. PATH is for messages, which quote nothing but the line's number.
 * -EINVAL, -E2BIG, -ENOMEM. */
int aws_profiles_add(AwsProfiles *profiles, AwsProfileFile file, const char *path, const char *text,
                     Error *error);

/* Both files of an environment: AWS_CONFIG_FILE and AWS_SHARED_CREDENTIALS_FILE, else those in $HOME/.aws. A file that is
 * not there, or may not be read, is an empty one unless its variable is set. */
int aws_profiles_load(char *const *environment, AwsProfiles **ret, Error *error);

/* AWS_PROFILE, else "default". */
const char *aws_profile_name(char *const *environment);

bool aws_profiles_has(const AwsProfiles *profiles, const char *profile);

/* NULL: not set, or empty. What is indented below "s3 =" is "s3.KEY". */
const char *aws_profiles_get(const AwsProfiles *profiles, const char *profile, const char *key);

/* The same, of the config file's [services NAME]. */
const char *aws_profiles_get_of_services(const AwsProfiles *profiles, const char *name, const char *key);
