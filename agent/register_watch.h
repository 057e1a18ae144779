#pragma once

/* Keeps an eye on the register of one rollout, on the event loop: looks at it in the pace of rollout_pace.h, and has
 * it take in what there is to take in when it is this instance's turn to write. What was read last holds where nobody
 * answers. */

#include "agent/base/clock.h"
#include "agent/notify.h"
#include "agent/register_store.h"
#include "agent/rollout_record.h"

typedef struct RegisterWatch RegisterWatch;

typedef struct RegisterWatchContext {
        sd_event *event;
        const Clock *clock;
        Depot *depot;
        const char *app;
        const char *group;
        const char *instance;     /* as it reports */
        uint64_t report_interval; /* microseconds; who has not reported for three of them is gone */
        uint64_t look_max;        /* it looks that often at least */
        AwsContext *aws;          /* to ask for alarms; may be NULL */
        Notify *notify;           /* hears of every register that was read or written; may be NULL */
} RegisterWatchContext;

typedef struct RegisterWatchHandlers {
        void (*changed)(void *userdata); /* a look or a write has ended */
        /* The part of this instance as it is now; only asked while there is a register. */
        void (*role)(void *userdata, Role *ret);
        void *userdata;
} RegisterWatchHandlers;

/* What the context points to must stay. Follows nothing yet. */
int register_watch_new(const RegisterWatchContext *context, const RegisterWatchHandlers *handlers,
                       RegisterWatch **ret, Error *error);
RegisterWatch *register_watch_free(RegisterWatch *watch);
DEFINE_CLEANUP(RegisterWatch *, register_watch_free)

/* From now on PLAN, which must stay until this is called again; NULL: none. Looks at once. The register of a rollout
 * that goes on under another target is kept. True if it is another one. */
bool register_watch_follow(RegisterWatch *watch, const RolloutPlan *plan);

/* Looks now, or once there is something to follow. A second one begins after the one that is on its way. */
void register_watch_look(RegisterWatch *watch);
bool register_watch_is_looking(const RegisterWatch *watch);

/* The boot-time clock when the last write of this instance that came to its end, whatever that was, was begun; 0:
 * there was none. */
uint64_t register_watch_wrote(const RegisterWatch *watch);

/* There is something new that a write would be about. */
void register_watch_has_news(RegisterWatch *watch);

/* Writes if it is this instance's turn; else the next look is in its time. */
void register_watch_go_on(RegisterWatch *watch);

/* NULL unless it is REGISTER_THERE. */
const Register *register_watch_register(const RegisterWatch *watch);
RegisterFound register_watch_found(const RegisterWatch *watch);

/* Why it is not there, or cannot be written; "". */
const char *register_watch_problem(const RegisterWatch *watch);

/* The depot's clock, as far as it is known; the boot-time clock at the last look. */
uint64_t register_watch_now(const RegisterWatch *watch);
uint64_t register_watch_seen(const RegisterWatch *watch);
