#pragma once

/* Asks again who this machine is, while what it goes by is only a guess: found in this boot, before the instance metadata
 * went away, or with a report name that STS did not confirm. */

#include "agent/identity.h"

#define IDENTITY_CHECK_FIRST (5 * UINT64_C(1000000))
#define IDENTITY_CHECK_MAX (300 * UINT64_C(1000000))

typedef struct IdentityCheck IdentityCheck;

/* It is known now: FOUND, which DIFFERS from what it went by, or does not. The check has ended. May free it. */
typedef void (*IdentityChecked)(IdentityCheck *check, const Identity *found, bool differs, void *userdata);

/* CONFIG, AWS and GUESS must stay. */
int identity_check_new(sd_event *event, const Config *config, AwsContext *aws, const Identity *guess,
                       IdentityChecked checked, void *userdata, IdentityCheck **ret, Error *error);
IdentityCheck *identity_check_free(IdentityCheck *check);
DEFINE_CLEANUP(IdentityCheck *, identity_check_free)
