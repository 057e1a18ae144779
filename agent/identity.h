#pragma once

/* Who this machine is: its instance id, its deployment group, its Auto Scaling group, and the name under which it reports.
 * Asked of the configuration first, then of the instance metadata, of Auto Scaling and of STS. */

#include <systemd/sd-event.h>

#include "agent/config.h"
#include "agent/net/aws.h"

typedef struct Identity {
        char *instance;
        char *group;
        char *scaling_group; /* NULL: in no Auto Scaling group, or nobody asked */
        char *report_id; /* aws:userid, to which an IAM policy can confine reports; elsewhere the instance id */
} Identity;

void identity_deinit(Identity *identity);
bool identity_equal(const Identity *a, const Identity *b);

#define IDENTITY_LOCAL_GROUP "local"

/* Of a machine without a depot, asking nobody: instance_id or the machine id, and the group of the configuration if it is
 * a name, else IDENTITY_LOCAL_GROUP. */
int identity_local(const Config *config, Identity *ret, Error *error);

typedef struct Identify Identify;

/* RESULT is 0 or a negative errno; the question may be asked again later. */
typedef void (*IdentifyDone)(Identify *identify, int result, const Error *error, void *userdata);

/* AWS may be NULL for a depot that needs none. CONFIG must stay. */
int identify_start(sd_event *event, const Config *config, AwsContext *aws, IdentifyDone done, void *userdata,
                   Identify **ret, Error *error);

/* NULL if the name for reports is STS's. If STS did not answer within IDENTITY_STS_MAX, which holds nothing up, it is but the
 * instance's and may be asked for again: then, why. */
#define IDENTITY_STS_MAX (5 * UINT64_C(1000000))
const char *identify_doubt(const Identify *identify);

/* Hands over what was found; from the callback on. */
Identity identify_take(Identify *identify);

Identify *identify_free(Identify *identify);
DEFINE_CLEANUP(Identify *, identify_free)
