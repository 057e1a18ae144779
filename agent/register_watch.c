#include <string.h>

#include "agent/base/log.h"
#include "agent/base/random.h"
#include "agent/base/timer.h"
#include "agent/register_watch.h"

#define FIRST_LOOK_MAX (10 * USEC_PER_SEC) /* then nobody waits for the register any more */
#define SILENT_INTERVALS 3U                /* reports that an instance which is gone has missed */

struct RegisterWatch {
        RegisterWatchContext context;
        RegisterWatchHandlers handlers;
        RegisterSite site;
        const RolloutPlan *plan; /* NULL: none is followed */
        char id[ROLLOUT_ID_MAX]; /* of the one that is or was followed last */
        sd_event_source *timer;

        RegisterOp *op;              /* a look in its turn, or ... */
        bool writing;                /* ... a write */
        uint64_t write_began, wrote; /* boot time: of this one, and of the last one that has ended well */
        RegisterOp *look;            /* one that was asked for */
        bool look_again;             /* it was asked for while one was on its way, or nothing was followed */
        uint64_t op_began, look_began; /* boot time */
        RegisterOp *kept;              /* owns REG */
        uint64_t kept_at;              /* boot time: when it came */
        const Register *reg;
        RegisterFound found;
        uint64_t depot_time, seen; /* the depot's clock, and the boot-time clock at that */
        uint64_t began;            /* boot time: since when it looks at this register */
        /* likewise; 0: yet to be planned; USEC_INFINITY: not until something is new here */
        uint64_t next_look;
        bool may_write; /* there is news since the last write of ours was begun */
        char problem[ERROR_MESSAGE_MAX];
};

static uint64_t boot_now(const RegisterWatch *watch) {
        return clock_boottime(watch->context.clock);
}

uint64_t register_watch_now(const RegisterWatch *watch) {
        return watch->depot_time + (boot_now(watch) - watch->seen);
}

static void tell_problem(RegisterWatch *watch, const Error *error) {
        const LogFields fields = { .app = watch->context.app, .instance = watch->context.instance };

        if (strcmp(watch->problem, error->message) == 0)
                return;
        snprintf(watch->problem, sizeof(watch->problem), "%s", error->message);
        log_message(LOG_WARNING, NULL, &fields, "rollout %s: %s", watch->id, watch->problem);
}

static Role role_of(const RegisterWatch *watch) {
        Role role;

        watch->handlers.role(watch->handlers.userdata, &role);
        return role;
}

static void on_register(RegisterOp *op, int result, const Error *error, void *userdata);

/* Never less often than the target is looked at. */
static uint64_t look_interval(const RegisterWatch *watch, RolloutPart part, uint64_t chance) {
        uint64_t fleet = watch->reg ? MAX(watch->reg->fleet, watch->reg->live) : 0,
                 look = rollout_pace_look(part, fleet, chance), most = watch->context.look_max;

        return look <= most ? look : most - most / 4 * (chance >> 32) / UINT32_MAX;
}

static void plan_look(RegisterWatch *watch) {
        uint64_t now = register_watch_now(watch), boot = boot_now(watch), due, in;
        Role role;

        if (!watch->reg) {
                watch->next_look = boot + look_interval(watch, ROLLOUT_LOOKS_ON, random_u64());
                return;
        }
        role = role_of(watch);
        if (role.rests) {
                watch->next_look = USEC_INFINITY;
                return;
        }
        in = look_interval(watch, role.part, random_u64());
        due = rollout_pace_due(register_due(watch->reg, watch->plan), watch->reg->fleet, random_u64());
        if (due > now)
                in = MIN(in, due - now);
        if (role.look_by > now)
                in = MIN(in, role.look_by - now);
        watch->next_look = usec_add(boot, in);
}

static bool is_to_write(const RegisterWatch *watch) {
        uint64_t fleet;
        Role role;

        if (!watch->may_write || !watch->reg)
                return false;
        role = role_of(watch);
        fleet = MAX(watch->reg->fleet, watch->reg->live);
        return role.writes && rollout_pace_writes(role.crowd, fleet, look_interval(watch, role.part, 0),
                                                  role.age, random_u64());
}

static void begin_write(RegisterWatch *watch) {
        const RegisterEvent event = { .kind = REGISTER_TAKE_IN };
        Error error = {};

        watch->writing = true;
        watch->may_write = false;
        watch->op_began = watch->write_began = boot_now(watch);
        if (register_change_start(&watch->site, &event, on_register, watch, &watch->op, &error) < 0) {
                watch->writing = false;
                tell_problem(watch, &error);
        }
}

static void begin_look(RegisterWatch *watch, RegisterOp **op) {
        Error error = {};

        *(op == &watch->look ? &watch->look_began : &watch->op_began) = boot_now(watch);
        if (register_read_start(&watch->site, watch->reg ? register_op_etag(watch->kept) : NULL, on_register,
                                watch, op, &error) < 0)
                tell_problem(watch, &error);
}

static void lose_register(RegisterWatch *watch, RegisterFound found) {
        watch->found = found;
        watch->reg = NULL;
        watch->kept = register_op_free(watch->kept);
}

/* Takes OP over, which has brought a register. */
static void take_register(RegisterWatch *watch, RegisterOp *op) {
        const Register *reg = register_op_register(op);
        Error error = {};

        if (register_check(reg, watch->plan, &error) < 0) {
                lose_register(watch, REGISTER_UNREADABLE);
                register_op_free(op);
                tell_problem(watch, &error);
                return;
        }
        register_op_free(watch->kept);
        watch->kept = op;
        watch->kept_at = boot_now(watch);
        watch->reg = reg;
        watch->found = REGISTER_THERE;
        watch->problem[0] = '\0';
}

/* What was read before holds where nobody answers: its deadlines do not wait for that. */
static void take_error(RegisterWatch *watch, int result, const Error *error) {
        if (result == -ENOENT)
                lose_register(watch, REGISTER_MISSING);
        else if (result == -EBADMSG || result == -EINVAL || watch->found == REGISTER_NOT_READ)
                lose_register(watch, REGISTER_UNREADABLE);
        tell_problem(watch, error);
}

/* Looks and writes overtake each other: what was asked for before the latest answer came, and knows less, is no news. */
static bool is_overtaken(const RegisterWatch *watch, const RegisterOp *op, uint64_t began) {
        const Register *reg = register_op_register(op);

        return watch->reg && began < watch->kept_at && (!reg || reg->rev < watch->reg->rev);
}

static void take_answer(RegisterWatch *watch, RegisterOp *op, int result, const Error *error) {
        if (result >= 0 || result == -ENOENT || result == -EBADMSG) {
                watch->depot_time = register_op_time(op);
                watch->seen = boot_now(watch);
        }
        if (result < 0)
                take_error(watch, result, error);
        else if (register_op_register(op)) {
                take_register(watch, op);
                return;
        }
        register_op_free(op);
}

/* A write is not followed by another one before the next look, except for news that came after it had begun: it may have been too
 * late for those. */
static void on_register(RegisterOp *op, int result, const Error *error, void *userdata) {
        RegisterWatch *watch = userdata;
        bool looked = op == watch->look, wrote = !looked && watch->writing && result > 0;

        if (looked) {
                watch->look = NULL;
        } else {
                watch->op = NULL;
                watch->may_write = watch->may_write || !watch->writing;
                if (watch->writing && result >= 0)
                        watch->wrote = watch->write_began;
                watch->writing = false;
                watch->next_look = 0;
        }
        if (result >= 0 && is_overtaken(watch, op, looked ? watch->look_began : watch->op_began))
                register_op_free(op);
        else
                take_answer(watch, op, result, error);
        if (result >= 0 && watch->reg)
                notify_rollout(watch->context.notify, watch->context.app, watch->context.group, watch->plan,
                               watch->reg, wrote, watch->depot_time);
        if (looked && watch->look_again)
                begin_look(watch, &watch->look);
        watch->look_again = watch->look_again && !looked;
        watch->handlers.changed(watch->handlers.userdata);
}

/* Following. */

static void stop_asking(RegisterWatch *watch) {
        watch->look_again = watch->look_again || watch->look;
        watch->op = register_op_free(watch->op);
        watch->look = register_op_free(watch->look);
        watch->writing = false;
}

bool register_watch_follow(RegisterWatch *watch, const RolloutPlan *plan) {
        bool same = plan && strcmp(watch->id, plan->id) == 0;

        stop_asking(watch);
        watch->plan = watch->site.plan = plan;
        snprintf(watch->id, sizeof(watch->id), "%s", plan ? plan->id : "");
        if (!same) {
                lose_register(watch, REGISTER_NOT_READ);
                watch->problem[0] = '\0';
                watch->began = boot_now(watch);
        }
        watch->next_look = boot_now(watch);
        if (plan && watch->look_again)
                begin_look(watch, &watch->look);
        watch->look_again = false;
        if (!plan)
                (void) sd_event_source_set_enabled(watch->timer, SD_EVENT_OFF);
        return !same;
}

void register_watch_look(RegisterWatch *watch) {
        if (watch->look || !watch->plan)
                watch->look_again = true;
        else
                begin_look(watch, &watch->look);
}

bool register_watch_is_looking(const RegisterWatch *watch) {
        return watch->look;
}

uint64_t register_watch_wrote(const RegisterWatch *watch) {
        return watch->wrote;
}

void register_watch_has_news(RegisterWatch *watch) {
        watch->may_write = true;
}

void register_watch_go_on(RegisterWatch *watch) {
        uint64_t at;

        if (!watch->plan)
                return;
        if (!watch->op && is_to_write(watch))
                begin_write(watch);
        if (watch->next_look == 0 || watch->next_look == USEC_INFINITY)
                plan_look(watch);
        at = watch->op ? USEC_INFINITY : watch->next_look;
        if (watch->found == REGISTER_NOT_READ)
                at = MIN(at, watch->began + FIRST_LOOK_MAX);
        (void) sd_event_source_set_time(watch->timer, at);
        (void) sd_event_source_set_enabled(watch->timer, SD_EVENT_ONESHOT);
}

static int on_timer(_unused_ sd_event_source *source, _unused_ uint64_t usec, void *userdata) {
        RegisterWatch *watch = userdata;
        uint64_t now = boot_now(watch);

        if (!watch->op && now >= watch->next_look) {
                begin_look(watch, &watch->op);
                plan_look(watch);
        }
        if (watch->found == REGISTER_NOT_READ && now >= watch->began + FIRST_LOOK_MAX) {
                watch->found = REGISTER_UNREADABLE;
                watch->handlers.changed(watch->handlers.userdata);
        } else {
                register_watch_go_on(watch);
        }
        return 0;
}

const Register *register_watch_register(const RegisterWatch *watch) {
        return watch->reg;
}

RegisterFound register_watch_found(const RegisterWatch *watch) {
        return watch->found;
}

const char *register_watch_problem(const RegisterWatch *watch) {
        return watch->problem;
}

uint64_t register_watch_seen(const RegisterWatch *watch) {
        return watch->seen;
}

int register_watch_new(const RegisterWatchContext *context, const RegisterWatchHandlers *handlers,
                       RegisterWatch **ret, Error *error) {
        _cleanup_(register_watch_freep) RegisterWatch *watch = calloc(1, sizeof(*watch));
        int r;

        if (!watch)
                return error_oom(error);
        watch->context = *context;
        watch->handlers = *handlers;
        watch->site = (RegisterSite){
                .depot = context->depot,
                .app = context->app,
                .group = context->group,
                .writer = context->instance,
                .aws = context->aws,
                .silence = SILENT_INTERVALS * context->report_interval,
        };
        r = timer_new(context->event, CLOCK_BOOTTIME, on_timer, watch, &watch->timer);
        if (r < 0)
                return error_set_errno(error, r, "cannot use the event loop");
        *ret = TAKE_PTR(watch);
        return 0;
}

RegisterWatch *register_watch_free(RegisterWatch *watch) {
        if (!watch)
                return NULL;
        sd_event_source_disable_unref(watch->timer);
        register_op_free(watch->op);
        register_op_free(watch->look);
        register_op_free(watch->kept);
        free(watch);
        return NULL;
}
