#pragma once

/* Finds out as what this instance is registered in target groups: those of the configuration, by name or ARN, else those of
 * its Auto Scaling group. Only targets of the kind "instance" are found. */

#include "agent/base/clock.h"
#include "agent/net/aws.h"
#include "agent/target_registration.h"

typedef struct RegistrationFind RegistrationFind;

/* RESULT is 0 or a negative errno. No target group, or none that has the instance, is none found and no error. */
typedef void (*RegistrationFindDone)(RegistrationFind *find, int result, const Error *error, void *userdata);

/* What is borrowed must stay. */
typedef struct RegistrationFindContext {
        AwsContext *aws;
        const char *
                target_groups; /* of the configuration, with spaces between them; NULL: those of the Auto Scaling group */
        const char *scaling_group; /* NULL: it is asked for */
        const char *instance;
} RegistrationFindContext;

int registration_find_start(const RegistrationFindContext *context, RegistrationFindDone done, void *userdata,
                            RegistrationFind **ret, Error *error);

/* From the callback on; both belong to FIND. What drains already was deregistered, by this instance or by somebody
 * else (its Auto Scaling group does that when it ends): no new requests come, but some may be under way. */
const TargetRegistrations *registration_find_found(const RegistrationFind *find);
const TargetRegistrations *registration_find_draining(const RegistrationFind *find);

RegistrationFind *registration_find_free(RegistrationFind *find);
DEFINE_CLEANUP(RegistrationFind *, registration_find_free)
