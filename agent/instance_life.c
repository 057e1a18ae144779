#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "agent/base/clock.h"
#include "agent/base/parse.h"
#include "agent/base/strv.h"
#include "agent/base/utf8.h"
#include "agent/instance_life.h"

static const char *const names[LIFE_COUNT] = {
        [LIFE_UNKNOWN] = "unknown",
        [LIFE_ALONE] = "alone",
        [LIFE_LAUNCHING] = "launching",
        [LIFE_IN_SERVICE] = "in-service",
        [LIFE_WARMING] = "warming",
        [LIFE_POOLED] = "pooled",
        [LIFE_ENTERING_STANDBY] = "entering-standby",
        [LIFE_STANDBY] = "standby",
        [LIFE_DETACHED] = "detached",
        [LIFE_LEAVING] = "leaving",
};

static const char *const causes[] = {
        [LEAVE_NOT] = "none",
        [LEAVE_TERMINATION] = "termination",
        [LEAVE_SPOT] = "spot-interruption",
        [LEAVE_REBALANCE] = "rebalance-recommendation",
        [LEAVE_MAINTENANCE] = "maintenance",
};

static const char *const postures[] = {
        [POSTURE_SERVE] = "serve",
        [POSTURE_HOLD] = "hold",
        [POSTURE_PREPARE] = "prepare",
        [POSTURE_LEAVE] = "leave",
};

/* While its root volume is replaced an instance is of no use, and what comes after is another boot. */
static const InstanceLife of_group[] = {
        [INSTANCE_UNKNOWN] = LIFE_UNKNOWN,
        [INSTANCE_PENDING] = LIFE_LAUNCHING,
        [INSTANCE_PENDING_WAIT] = LIFE_LAUNCHING,
        [INSTANCE_PENDING_PROCEED] = LIFE_LAUNCHING,
        [INSTANCE_IN_SERVICE] = LIFE_IN_SERVICE,
        [INSTANCE_TERMINATING] = LIFE_LEAVING,
        [INSTANCE_TERMINATING_WAIT] = LIFE_LEAVING,
        [INSTANCE_TERMINATING_PROCEED] = LIFE_LEAVING,
        [INSTANCE_TERMINATING_RETAINED] = LIFE_LEAVING,
        [INSTANCE_TERMINATED] = LIFE_LEAVING,
        [INSTANCE_DETACHING] = LIFE_DETACHED,
        [INSTANCE_DETACHED] = LIFE_DETACHED,
        [INSTANCE_ENTERING_STANDBY] = LIFE_ENTERING_STANDBY,
        [INSTANCE_STANDBY] = LIFE_STANDBY,
        [INSTANCE_REPLACING_ROOT_VOLUME] = LIFE_UNKNOWN,
        [INSTANCE_REPLACING_ROOT_VOLUME_WAIT] = LIFE_UNKNOWN,
        [INSTANCE_REPLACING_ROOT_VOLUME_PROCEED] = LIFE_UNKNOWN,
        [INSTANCE_ROOT_VOLUME_REPLACED] = LIFE_UNKNOWN,
        [INSTANCE_WARMED_PENDING] = LIFE_WARMING,
        [INSTANCE_WARMED_PENDING_WAIT] = LIFE_WARMING,
        [INSTANCE_WARMED_PENDING_PROCEED] = LIFE_WARMING,
        [INSTANCE_WARMED_PENDING_RETAINED] = LIFE_WARMING,
        [INSTANCE_WARMED_TERMINATING] = LIFE_LEAVING,
        [INSTANCE_WARMED_TERMINATING_WAIT] = LIFE_LEAVING,
        [INSTANCE_WARMED_TERMINATING_PROCEED] = LIFE_LEAVING,
        [INSTANCE_WARMED_TERMINATING_RETAINED] = LIFE_LEAVING,
        [INSTANCE_WARMED_TERMINATED] = LIFE_LEAVING,
        [INSTANCE_WARMED_STOPPED] = LIFE_POOLED,
        [INSTANCE_WARMED_RUNNING] = LIFE_POOLED,
        [INSTANCE_WARMED_HIBERNATED] = LIFE_POOLED,
};

/* The values of target-lifecycle-state, each the name of a steady state. */
static const struct {
        const char *text;
        InstanceState steady;
        InstanceLife on_the_way;
        InstanceLife unasked; /* where the group does not say whether it has come there */
} targets[] = {
        { "InService", INSTANCE_IN_SERVICE, LIFE_LAUNCHING, LIFE_IN_SERVICE },
        { "Terminated", INSTANCE_TERMINATED, LIFE_LEAVING, LIFE_LEAVING },
        { "Detached", INSTANCE_DETACHED, LIFE_DETACHED, LIFE_DETACHED },
        { "Standby", INSTANCE_STANDBY, LIFE_ENTERING_STANDBY, LIFE_ENTERING_STANDBY },
        { "Warmed:Hibernated", INSTANCE_WARMED_HIBERNATED, LIFE_WARMING, LIFE_WARMING },
        { "Warmed:Running", INSTANCE_WARMED_RUNNING, LIFE_WARMING, LIFE_WARMING },
        { "Warmed:Stopped", INSTANCE_WARMED_STOPPED, LIFE_WARMING, LIFE_WARMING },
        { "Warmed:Terminated", INSTANCE_WARMED_TERMINATED, LIFE_LEAVING, LIFE_LEAVING },
};

static InstanceLife life_in_group(const LifeFacts *facts) {
        switch (facts->view) {
        case GROUP_MEMBER:
                return of_group[facts->in_group];
        case GROUP_NONE:
                return LIFE_ALONE;
        default:
                return LIFE_UNKNOWN;
        }
}

static InstanceLife life_by_target(const LifeFacts *facts) {
        for (size_t i = 0; i < ELEMENTSOF(targets); i++) {
                if (strcmp(targets[i].text, facts->target) != 0)
                        continue;
                if (facts->view == GROUP_NOT_ASKED || facts->view == GROUP_NONE)
                        return targets[i].unasked;
                return facts->view == GROUP_MEMBER && facts->in_group == targets[i].steady
                               ? of_group[facts->in_group]
                               : targets[i].on_the_way;
        }
        return LIFE_UNKNOWN;
}

static InstanceLife life_of(const LifeFacts *facts) {
        InstanceLife in_group = life_in_group(facts);
        bool member = facts->view == GROUP_MEMBER;

        if (!facts->target_known || (member && (in_group == LIFE_LEAVING || in_group == LIFE_UNKNOWN)))
                return in_group;
        if (!facts->target)
                return member ? in_group : LIFE_ALONE;
        return life_by_target(facts);
}

static void leave(LifeView *view, LeaveCause cause, uint64_t deadline, const char *format, ...)
        _printf_(4, 5);

static void leave(LifeView *view, LeaveCause cause, uint64_t deadline, const char *format, ...) {
        va_list arguments;

        view->life = LIFE_LEAVING;
        view->cause = cause;
        view->deadline = deadline;
        va_start(arguments, format);
        utf8_vformat(view->reason, sizeof(view->reason), format, arguments);
        va_end(arguments);
}

/* Its end is certain; only whether it may be started again depends. */
static bool leave_for_good(const LifeFacts *facts, LifeView *view) {
        uint64_t deadline = facts->spot_action ? facts->spot_at : USEC_INFINITY;

        if (view->life == LIFE_LEAVING) {
                leave(view, LEAVE_TERMINATION, deadline, "the Auto Scaling group terminates this instance");
                return true;
        }
        if (!facts->spot_action)
                return false;
        leave(view, LEAVE_SPOT, deadline, "EC2 takes this spot instance back: %.16s", facts->spot_action);
        view->may_return = strcmp(facts->spot_action, "terminate") != 0;
        return true;
}

/* Warnings concern what serves: for whatever else the instance is, the group has its own plan. */
static void leave_for_warning(const LifeFacts *facts, LifeView *view) {
        char at[TIME_TEXT_MAX];

        if (facts->maintenance && facts->drain_for_maintenance &&
            usec_add(facts->now, facts->maintenance_ahead) >= facts->maintenance_at) {
                format_time(facts->maintenance_at, at);
                leave(view, LEAVE_MAINTENANCE, facts->maintenance_at, "EC2 has scheduled %.32s for %s",
                      facts->maintenance, at);
                view->may_return = true;
        } else if (facts->rebalance && facts->drain_on_rebalance) {
                leave(view, LEAVE_REBALANCE, USEC_INFINITY,
                      "EC2 recommends to replace this spot instance, which it may soon take back");
                view->may_return = true;
        }
}

static const char *describe(const LifeFacts *facts, InstanceLife life) {
        switch (life) {
        case LIFE_UNKNOWN:
                return facts->target_known || facts->view == GROUP_MEMBER
                               ? "its lifecycle state is one that this muster does not know"
                               : "its lifecycle state is not known yet";
        case LIFE_WARMING:
                return "this instance is being prepared for a warm pool";
        case LIFE_POOLED:
                return "this instance is in a warm pool";
        case LIFE_ENTERING_STANDBY:
        case LIFE_STANDBY:
                return "this instance is in standby";
        case LIFE_DETACHED:
                return "this instance was detached from its Auto Scaling group";
        default:
                return "";
        }
}

void instance_life(const LifeFacts *facts, LifeView *ret) {
        *ret = (LifeView){ .life = life_of(facts), .deadline = USEC_INFINITY };
        ret->pending = ret->life == LIFE_LAUNCHING && facts->view == GROUP_MEMBER &&
                       of_group[facts->in_group] == LIFE_LAUNCHING;
        snprintf(ret->reason, sizeof(ret->reason), "%s", describe(facts, ret->life));
        if (!leave_for_good(facts, ret) && (ret->life == LIFE_IN_SERVICE || ret->life == LIFE_ALONE))
                leave_for_warning(facts, ret);
}

LifePosture instance_life_posture(InstanceLife life) {
        switch (life) {
        case LIFE_ALONE:
        case LIFE_LAUNCHING:
        case LIFE_IN_SERVICE:
                return POSTURE_SERVE;
        case LIFE_WARMING:
        case LIFE_POOLED:
                return POSTURE_PREPARE;
        case LIFE_LEAVING:
                return POSTURE_LEAVE;
        default:
                return POSTURE_HOLD;
        }
}

bool instance_life_has_traffic(InstanceLife life) {
        switch (life) {
        case LIFE_ENTERING_STANDBY:
        case LIFE_STANDBY:
        case LIFE_DETACHED:
                return false;
        default:
                return instance_life_posture(life) == POSTURE_SERVE || life == LIFE_UNKNOWN;
        }
}

static int find(const char *const *texts, size_t n, const char *text) {
        for (size_t i = 0; i < n; i++)
                if (string_equal(texts[i], text))
                        return (int) i;
        return -EINVAL;
}

const char *life_posture_to_string(LifePosture posture) {
        return postures[posture];
}

int life_posture_from_string(const char *text, LifePosture *ret) {
        int i = find(postures, ELEMENTSOF(postures), text);

        if (i >= 0)
                *ret = (LifePosture) i;
        return i < 0 ? i : 0;
}

const char *instance_life_to_string(InstanceLife life) {
        return names[life];
}

const char *leave_cause_to_string(LeaveCause cause) {
        return causes[cause];
}
