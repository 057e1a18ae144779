#pragma once

/* Puts the instance back into the target groups that the deploy record says it was taken out of, once no deployment runs
 * that would do it itself: after one that failed, after a crash, and whatever became of the app. Whether requests
 * reach it then is the load balancer's health check to say, which an unregistered instance could not even pass. */

#include <systemd/sd-event.h>

#include "agent/base/log.h"
#include "agent/net/aws.h"
#include "agent/record.h"

typedef struct Rejoin Rejoin;

/* All of it borrowed. */
typedef struct RejoinContext {
        sd_event *event;
        const Clock *clock;
        AwsContext *aws;
        const char *instance;
        Record *record;
        int app_fd;
        LogFields fields;
        int (*may_join)(void *userdata); /* asked before every try, as EngineTraffic's; NULL: it may */
} RejoinContext;

/* It is in again, and the record says so. May free the rejoin. */
typedef void (*RejoinDone)(Rejoin *rejoin, void *userdata);

/* Tries until it has succeeded. */
int rejoin_start(const RejoinContext *context, RejoinDone done, void *userdata, Rejoin **ret, Error *error);

/* Why it has not succeeded yet, "" while nothing is known to be wrong. */
const char *rejoin_problem(const Rejoin *rejoin);

Rejoin *rejoin_free(Rejoin *rejoin);
DEFINE_CLEANUP(Rejoin *, rejoin_free)
