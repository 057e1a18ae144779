#include "agent/agent_life.h"
#include "agent/base/log.h"
#include "agent/base/timer.h"

/* What this instance is to its group, and what follows for apps, launch and leave. */

/* A deployment that the leave finds in the middle of its changes may go on for this part of the time that is left. */
#define CUT_PART 2U

static const LifeView *view_of(const Setup *setup) {
        static const LifeView alone = { .life = LIFE_ALONE, .deadline = USEC_INFINITY };

        return setup->life ? life_watch_view(setup->life) : &alone;
}

bool agent_leaves(const Setup *setup) {
        return view_of(setup)->life == LIFE_LEAVING;
}

json_t *agent_life_status(const Setup *setup) {
        json_t *life = NULL, *leave = NULL;

        if (!setup->life || life_watch_status(setup->life, &life) < 0)
                return json_null();
        if (setup->leave && leave_status(setup->leave, &leave) >= 0)
                (void) json_object_set_new(life, "leave", leave);
        return life;
}

static void tell(Agent *agent) {
        Setup *setup = &agent->setup;

        for (size_t i = 0; i < setup->n_apps; i++)
                app_set_report_member(setup->apps[i], "life", agent_life_status(setup));
        bus_service_changed(agent->bus);
}

/* Whether it comes back from service rather than from its launch: something of it ran. */
static bool returns_to_pool(const Setup *setup) {
        for (size_t i = 0; i < setup->n_apps; i++)
                if (app_has_served(setup->apps[i]))
                        return true;
        return false;
}

static bool nothing_runs(const Setup *setup) {
        for (size_t i = 0; i < setup->n_apps; i++)
                if (!app_is_drained(setup->apps[i]))
                        return false;
        return setup->n_apps == setup->config->n_apps;
}

/* The hooks of a termination wait for whom the group takes out of service; a warning of EC2's alone has none. */
static bool is_taken_out(const Setup *setup, const LifeView *view) {
        return view->cause == LEAVE_TERMINATION || (view->life == LIFE_WARMING && returns_to_pool(setup));
}

static void on_queue_left(_unused_ int result, _unused_ const Error *error, void *userdata) {
        Agent *agent = userdata;

        agent->setup.queue_left = true;
        agent_update_leave(agent);
}

/* The instance's own queue goes with it, as the last thing before the group is told; not that of one that comes back. */
static bool queue_is_left(Agent *agent, const LifeView *view) {
        Setup *setup = &agent->setup;

        if (setup->queue_left || view->life != LIFE_LEAVING || view->may_return)
                return true;
        if (!setup->leaves_queue && setup->wakeup) {
                setup->leaves_queue = true;
                wakeup_leave(setup->wakeup, on_queue_left, agent);
        }
        return !setup->wakeup;
}

/* That of now: an instance that was detached may have been attached to another one since it was identified. */
static const char *scaling_group(const Setup *setup) {
        const char *group = life_watch_group(setup->life);

        return setup->config->launch_group || !group ? setup->identity.scaling_group : group;
}

void agent_update_leave(Agent *agent) {
        const Setup *setup = &agent->setup;
        const LifeView *view = view_of(setup);

        if (!setup->leave)
                return;
        if (is_taken_out(setup, view)) {
                leave_begin(setup->leave,
                            view->cause == LEAVE_TERMINATION ? LIFECYCLE_TERMINATING : LIFECYCLE_RETURNING,
                            scaling_group(setup));
                if (nothing_runs(setup) && queue_is_left(agent, view))
                        leave_drained(setup->leave);
                return;
        }
        if (view->life != LIFE_WARMING)
                leave_end(setup->leave);
        if (nothing_runs(setup)) /* EC2 takes a spot instance, and no group says so */
                (void) queue_is_left(agent, view);
}

static int on_cut(_unused_ sd_event_source *source, _unused_ uint64_t usec, void *userdata) {
        Agent *agent = userdata;
        const Setup *setup = &agent->setup;

        for (size_t i = 0; i < setup->n_apps; i++)
                app_cut(setup->apps[i], "there is no time left to go on: the instance is taken away");
        return 0;
}

static void arm_cut(Agent *agent, const LifeView *view) {
        uint64_t now, left;

        (void) sd_event_source_set_enabled(agent->cut, SD_EVENT_OFF);
        if (view->life != LIFE_LEAVING || view->deadline == USEC_INFINITY)
                return;
        now = aws_context_time(agent->setup.aws); /* the deadline is by EC2's clock */
        left = view->deadline > now ? view->deadline - now : 0;
        (void) sd_event_source_set_time_relative(agent->cut, left / CUT_PART);
        (void) sd_event_source_set_enabled(agent->cut, SD_EVENT_ONESHOT);
}

/* The launch hooks fire once more for whom the group brings back, also where that has begun while no musterd ran. */
static bool comes_back(const Setup *setup, const LifeView *now) {
        InstanceLife before = setup->last_life;
        bool was_away = before != LIFE_UNKNOWN && before != LIFE_LAUNCHING && before != LIFE_IN_SERVICE &&
                        before != LIFE_ALONE;

        return (was_away && (now->life == LIFE_LAUNCHING || now->life == LIFE_IN_SERVICE)) ||
               (now->pending && !setup->last_pending);
}

/* Attached again, maybe to another group, with another target, other hooks and another queue. */
static bool is_attached(const Setup *setup, const LifeView *now) {
        return setup->last_life == LIFE_DETACHED &&
               (now->life == LIFE_LAUNCHING || now->life == LIFE_IN_SERVICE);
}

static void on_life(void *userdata) {
        Agent *agent = userdata;
        Setup *setup = &agent->setup;
        const LifeView *view = view_of(setup);
        bool is_back = comes_back(setup, view);

        if (is_attached(setup, view)) { /* no app hears of it before it is known of what group */
                log_info("this instance, which was detached, is in a group again, and begins anew");
                agent_reload(agent);
                return;
        }
        setup->last_life = view->life;
        setup->last_pending = view->pending;
        arm_cut(agent, view);
        for (size_t i = 0; i < setup->n_apps; i++)
                app_set_life(setup->apps[i], view);
        if (setup->launch && life_watch_in_group(setup->life))
                launch_expect_group(setup->launch);
        if (setup->launch && is_back)
                launch_look_again(setup->launch);
        if (setup->launch && view->life == LIFE_LEAVING && view->cause == LEAVE_TERMINATION)
                launch_end(setup->launch, view->reason);
        agent_update_leave(agent);
        tell(agent);
}

static void on_leave(void *userdata) {
        tell(userdata);
}

void agent_look_at_life(Agent *agent) {
        if (agent->setup.life)
                life_watch_look(agent->setup.life);
}

void agent_tell_life(Agent *agent, App *app) {
        app_set_life(app, view_of(&agent->setup));
}

static int add_cut_timer(Agent *agent, Error *error) {
        int r;

        if (agent->cut)
                return 0;
        r = timer_new(agent->event, CLOCK_BOOTTIME, on_cut, agent, &agent->cut);
        return r < 0 ? error_set_errno(error, r, "cannot use the event loop") : 0;
}

int agent_start_life(Agent *agent, Error *error) {
        Setup *setup = &agent->setup;
        const Config *config = setup->config;
        const LifeWatchContext watch = {
                .event = agent->event,
                .clock = &clock_system,
                .aws = setup->aws,
                .instance = setup->identity.instance,
                .in_group = setup->identity.scaling_group,
                .may_be_alone = config->instance_id,
                .interval = config->metadata_interval,
                .drain_on_rebalance = config->on_rebalance == WARNING_DRAIN,
                .drain_for_maintenance = config->on_maintenance == WARNING_DRAIN,
                .maintenance_ahead = config->maintenance_ahead,
        };
        const LeaveContext leave = {
                .event = agent->event,
                .aws = setup->aws,
                .instance = setup->identity.instance,
                .hook = config->leave_hook,
        };
        int r;

        if (!setup->aws)
                return 0;
        r = add_cut_timer(agent, error);
        if (r >= 0)
                r = life_watch_new(&watch, on_life, agent, &setup->life, error);
        return r < 0 ? r : leave_new(&leave, on_leave, agent, &setup->leave, error);
}
