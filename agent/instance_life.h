#pragma once

/* What this instance is to its Auto Scaling group, and whether it is about to be taken away: a pure function of what the
 * instance metadata, the group and the configuration say. Who watches these is life_watch.h.
 *
 * target-lifecycle-state names where the instance goes, from the moment it starts to move there ("Retrieve the target
 * lifecycle state through instance metadata" in the Auto Scaling User Guide); DescribeAutoScalingInstances names where it is.
 * The first is there for the asking and is followed where the two do not fit together, since what the group said may be
 * older; but nobody comes back from a termination. Messages are no facts: they are a reason to look. */

#include "agent/net/autoscaling.h"

typedef enum InstanceLife {
        LIFE_UNKNOWN, /* nobody has said yet, or a word that is newer than this program */
        LIFE_ALONE,   /* it is in no Auto Scaling group */
        LIFE_LAUNCHING,
        LIFE_IN_SERVICE, /* as far as is known: where the group does not answer, also one that launches */
        LIFE_WARMING,    /* on its way into a warm pool, from its launch or back from service */
        LIFE_POOLED,
        LIFE_ENTERING_STANDBY,
        LIFE_STANDBY,
        LIFE_DETACHED,
        LIFE_LEAVING,
        LIFE_COUNT,
} InstanceLife;

/* What is to be done about the apps. */
typedef enum LifePosture {
        POSTURE_SERVE,   /* bring up what is asked for */
        POSTURE_HOLD,    /* begin nothing; what runs, and what root orders, goes on */
        POSTURE_PREPARE, /* have it in the store, start nothing, and stop what runs */
        POSTURE_LEAVE,   /* stop what runs, and begin nothing */
} LifePosture;

/* Why it leaves. */
typedef enum LeaveCause {
        LEAVE_NOT,
        LEAVE_TERMINATION, /* the group terminates it */
        LEAVE_SPOT,        /* EC2 takes a spot instance back */
        LEAVE_REBALANCE,   /* EC2 expects that it soon will */
        LEAVE_MAINTENANCE, /* EC2 is about to stop, reboot or retire it */
} LeaveCause;

typedef enum GroupView {
        GROUP_NOT_ASKED, /* or it did not answer */
        GROUP_ASKED,     /* it has yet to answer for the first time */
        GROUP_NONE,      /* the instance is in none */
        GROUP_MEMBER,
} GroupView;

/* Times are microseconds since 1970. */
typedef struct LifeFacts {
        bool target_known;  /* the metadata have answered */
        const char *target; /* target-lifecycle-state; NULL: the instance never was in a group */
        GroupView view;
        InstanceState in_group;  /* GROUP_MEMBER; INSTANCE_UNKNOWN: a word that is newer than this program */
        const char *spot_action; /* "terminate", "stop", "hibernate"; NULL: none */
        uint64_t spot_at;        /* when it is taken */
        bool rebalance;          /* recommended */
        const char *maintenance; /* the code of the next event ("system-reboot"); NULL: none */
        uint64_t maintenance_at; /* not before this */
        bool drain_on_rebalance; /* as configured */
        bool drain_for_maintenance; /* likewise, */
        uint64_t maintenance_ahead; /* so long before it */
        uint64_t now;
} LifeFacts;

typedef struct LifeView {
        InstanceLife life;
        LeaveCause cause; /* of LIFE_LEAVING */
        /* likewise: when it is taken away whatever it does; USEC_INFINITY: nobody has said */
        uint64_t deadline;
        bool may_return;  /* likewise: it may stay after all, or be started again */
        bool pending;     /* LIFE_LAUNCHING, and the group itself says so: launch hooks may wait */
        char reason[160]; /* one sentence */
} LifeView;

void instance_life(const LifeFacts *facts, LifeView *ret);

LifePosture instance_life_posture(InstanceLife life);

/* Whether it belongs into its target groups. Who is in standby or detached was taken out of them by the Auto Scaling
 * group, which puts it back when it returns; while nobody knows what it is, it does. */
bool instance_life_has_traffic(InstanceLife life);

/* "serve", "hold", "prepare", "leave" */
const char *life_posture_to_string(LifePosture posture);
int life_posture_from_string(const char *text, LifePosture *ret);

/* "in-service" */
const char *instance_life_to_string(InstanceLife life);

/* "termination", "spot-interruption", "rebalance-recommendation", "maintenance"; "none" */
const char *leave_cause_to_string(LeaveCause cause);
