#include <inttypes.h>
#include <string.h>

#include "agent/base/log.h"
#include "agent/base/random.h"
#include "agent/base/strv.h"
#include "agent/rollout_view.h"
#include "agent/rollout_watch.h"
#include "artifacts/layout.h"

#define FIRST_LOOK_MAX (10 * USEC_PER_SEC) /* then nobody waits for the register any more */
#define SILENT_INTERVALS 3U                /* reports that an instance which is gone has missed */
#define MARK_RETRY_FIRST (2 * USEC_PER_SEC)
#define MARK_RETRY_MAX (60 * USEC_PER_SEC)
#define MARK_TEXT_MAX 512U
#define STEPS_MAX 8U /* of one settling: the longest way through the standings that needs nobody else */

struct RolloutWatch {
        RolloutWatchContext context;
        RolloutWatchChanged changed;
        void *userdata;
        sd_event_source *timer;

        Target *target; /* a copy: who accepts a new one frees the old */
        RolloutPlan plan;
        RegisterSite site;
        bool follows; /* the plan is one that the fleet shares */
        char env_sha256[DIGEST_HEX_SIZE];
        RolloutSituation situation; /* without its pointers */

        RegisterOp *op;   /* a look in its turn, or ... */
        bool writing;     /* ... a write */
        RegisterOp *look; /* one that a deployment waits for */
        bool look_again;  /* it was asked for while one was on its way */
        RegisterOp *kept; /* owns REG */
        const Register *reg;
        RegisterFound found;
        uint64_t depot_time, seen; /* the depot's clock, and the boot-time clock at that */
        uint64_t began;            /* boot time: since when it looks at this register */
        uint64_t next_look;        /* likewise */
        bool may_write;            /* there is news since the last write of ours */

        DepotOp *mark;
        uint64_t mark_at, mark_delay; /* the next try, on the boot-time clock */
        bool new_here;                /* the part was begun in this run, and has said nothing yet */
        uint64_t proving; /* boot time: since when it is healthy, as far as is known; 0: it is not proving */

        char reason[ROLLOUT_REASON_MAX];
        char objection[ERROR_MESSAGE_MAX];
        char problem[ERROR_MESSAGE_MAX];
};

static RolloutRecord *part_of(const RolloutWatch *watch) {
        return &watch->context.record->rollout;
}

static PartFacts facts_of(const RolloutWatch *watch) {
        return (PartFacts){
                .plan = &watch->plan,
                .record = watch->context.record,
                .env_sha256 = watch->env_sha256,
                .absent = watch->situation.absent,
                .deploying = watch->situation.deploying,
                .now = clock_realtime(watch->context.clock),
        };
}

static uint64_t boot_now(const RolloutWatch *watch) {
        return clock_boottime(watch->context.clock);
}

static uint64_t depot_now(const RolloutWatch *watch) {
        return watch->depot_time + (boot_now(watch) - watch->seen);
}

static void tell_problem(RolloutWatch *watch, const Error *error) {
        const LogFields fields = { .app = watch->context.app, .instance = watch->context.instance };

        if (strcmp(watch->problem, error->message) == 0)
                return;
        snprintf(watch->problem, sizeof(watch->problem), "%s", error->message);
        log_message(LOG_WARNING, NULL, &fields, "rollout %s: %s", watch->plan.id, watch->problem);
}

static void keep_part(RolloutWatch *watch) {
        Error error = {};

        if (record_save(watch->context.app_fd, watch->context.record, &error) < 0)
                tell_problem(watch, &error);
}

static void log_part(const RolloutWatch *watch, const char *what) {
        const LogFields fields = { .app = watch->context.app,
                                   .version = watch->plan.to->version,
                                   .instance = watch->context.instance };

        log_message(LOG_INFO, NULL, &fields, "rollout %s: %s (attempt %u)", watch->plan.id, what,
                    part_of(watch)->attempt);
}

/* The role, from the register as it was read and the time that has passed since. */

static Role role_of(const RolloutWatch *watch) {
        const RolloutRecord *part = part_of(watch);
        const RoleFacts facts = {
                .reg = watch->reg,
                .plan = &watch->plan,
                .place = register_find_place(watch->reg, watch->context.instance),
                .instance = watch->context.instance,
                .standing = part->standing,
                .attempt = part->attempt,
                .said = part->said,
                .now = depot_now(watch),
        };
        Role role;

        rollout_role(&facts, &role);
        return role;
}

/* Without a register nobody can show that he has a place. */
static RoleStep step_of(const RolloutWatch *watch) {
        bool gone = watch->found == REGISTER_MISSING || watch->found == REGISTER_UNREADABLE;

        if (watch->reg)
                return role_of(watch).step;
        return gone && (part_of(watch)->standing == STANDING_CHANGING ||
                        part_of(watch)->standing == STANDING_ASKED)
                       ? ROLE_BACK_OUT
                       : ROLE_WAIT;
}

/* What needs a fresh look is taken only with one, but this is asked at any time: the deadline of a place passes by itself. */
static bool take_step(RolloutWatch *watch) {
        const PartFacts facts = facts_of(watch);
        RoleStep step = step_of(watch);

        if (facts.absent || !rollout_record_take(part_of(watch), &facts, step))
                return false;
        log_part(watch, role_step_to_string(step));
        return true;
}

/* Looking and writing. */

static void on_register(RegisterOp *op, int result, const Error *error, void *userdata);

/* Never less often than the target is looked at. */
static uint64_t look_interval(const RolloutWatch *watch, RolloutPart part, uint64_t chance) {
        uint64_t fleet = watch->reg ? MAX(watch->reg->fleet, watch->reg->live) : 0,
                 look = rollout_pace_look(part, fleet, chance), most = watch->context.look_max;

        return look <= most ? look : most - most / 4 * (chance >> 32) / UINT32_MAX;
}

static void plan_look(RolloutWatch *watch) {
        uint64_t now = depot_now(watch), boot = boot_now(watch), due, in;
        Role role;

        if (!watch->reg) {
                watch->next_look = boot + look_interval(watch, ROLLOUT_LOOKS_ON, random_u64());
                return;
        }
        role = role_of(watch);
        in = look_interval(watch, role.part, random_u64());
        due = rollout_pace_due(register_due(watch->reg, &watch->plan), watch->reg->fleet, random_u64());
        if (due > now)
                in = MIN(in, due - now);
        if (role.look_by > now)
                in = MIN(in, role.look_by - now);
        watch->next_look = usec_add(boot, in);
}

static bool is_to_write(const RolloutWatch *watch) {
        uint64_t fleet;
        Role role;

        if (!watch->may_write || !watch->reg || watch->situation.absent)
                return false;
        role = role_of(watch);
        fleet = MAX(watch->reg->fleet, watch->reg->live);
        return role.writes && rollout_pace_writes(role.crowd, fleet, look_interval(watch, role.part, 0),
                                                  role.age, random_u64());
}

static void begin_write(RolloutWatch *watch) {
        const RegisterEvent event = { .kind = REGISTER_TAKE_IN };
        Error error = {};

        watch->writing = true;
        if (register_change_start(&watch->site, &event, on_register, watch, &watch->op, &error) < 0)
                tell_problem(watch, &error);
}

static void begin_look(RolloutWatch *watch, RegisterOp **op) {
        Error error = {};

        if (register_read_start(&watch->site, watch->reg ? register_op_etag(watch->kept) : NULL, on_register,
                                watch, op, &error) < 0)
                tell_problem(watch, &error);
}

static void lose_register(RolloutWatch *watch, RegisterFound found) {
        watch->found = found;
        watch->reg = NULL;
        watch->kept = register_op_free(watch->kept);
}

/* Takes OP over, which has brought a register. */
static void take_register(RolloutWatch *watch, RegisterOp *op) {
        const Register *reg = register_op_register(op);
        Error error = {};

        if (register_check(reg, &watch->plan, &error) < 0) {
                lose_register(watch, REGISTER_UNREADABLE);
                register_op_free(op);
                tell_problem(watch, &error);
                return;
        }
        register_op_free(watch->kept);
        watch->kept = op;
        watch->reg = reg;
        watch->found = REGISTER_THERE;
        watch->problem[0] = '\0';
}

/* What was read before holds where nobody answers: its deadlines do not wait for that. */
static void take_error(RolloutWatch *watch, int result, const Error *error) {
        if (result == -ENOENT)
                lose_register(watch, REGISTER_MISSING);
        else if (result == -EBADMSG || result == -EINVAL || watch->found == REGISTER_NOT_READ)
                lose_register(watch, REGISTER_UNREADABLE);
        tell_problem(watch, error);
}

static void take_answer(RolloutWatch *watch, RegisterOp *op, int result, const Error *error) {
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

/* A write is not followed by another one before the next look, whatever is left to say. */
static void on_register(RegisterOp *op, int result, const Error *error, void *userdata) {
        RolloutWatch *watch = userdata;
        bool looked = op == watch->look;

        if (looked) {
                watch->look = NULL;
        } else {
                watch->op = NULL;
                watch->may_write = !watch->writing;
                watch->writing = false;
                watch->next_look = 0;
        }
        take_answer(watch, op, result, error);
        if (watch->next_look == 0)
                plan_look(watch);
        if (looked && watch->look_again)
                begin_look(watch, &watch->look);
        watch->look_again = watch->look_again && !looked;
        watch->changed(watch, watch->userdata);
}

/* Marks. */

static void retry_mark(RolloutWatch *watch, const Error *error) {
        tell_problem(watch, error);
        watch->mark_at = boot_now(watch) + watch->mark_delay;
        watch->mark_delay = MIN(watch->mark_delay * 2, MARK_RETRY_MAX);
}

/* One that is there already was made before a crash; but who has no memory of this rollout at all has a past in it that he does
 * not know, and begins after it. */
static void on_mark(DepotOp *op, int result, const Error *error, void *userdata) {
        RolloutWatch *watch = userdata;
        RolloutRecord *part = part_of(watch);
        bool exists = result >= 0 && depot_op_reply(op)->outcome == DEPOT_PRECONDITION_FAILED;

        watch->mark = depot_op_free(watch->mark);
        if (result < 0) {
                retry_mark(watch, error);
                watch->changed(watch, watch->userdata);
                return;
        }
        watch->mark_delay = MARK_RETRY_FIRST;
        if (exists && watch->new_here && part->owes == MARK_UP) {
                rollout_record_begin_anew(part);
        } else {
                log_part(watch, mark_to_string(part->owes));
                rollout_record_say(part, depot_now(watch));
                watch->new_here = false;
                watch->may_write = true;
        }
        keep_part(watch);
        watch->changed(watch, watch->userdata);
}

static int make_mark(const RolloutWatch *watch, char ret_key[static LAYOUT_KEY_MAX],
                     char ret_text[static MARK_TEXT_MAX], Error *error) {
        const RolloutWatchContext *context = &watch->context;
        const RolloutRecord *part = part_of(watch);
        char folder[MARK_FOLDER_MAX];
        int n;

        mark_folder(part->owes, part->attempt, folder);
        n = snprintf(ret_text, MARK_TEXT_MAX,
                     "{\"instance\":\"%s\",\"mark\":\"%s\",\"attempt\":%u,\"release_sha256\":\"%s\"}\n",
                     context->instance, mark_to_string(part->owes), part->attempt, watch->plan.to->sha256);
        if (n >= (int) MARK_TEXT_MAX)
                return error_set(error, -ENAMETOOLONG, "the instance's name is too long for a mark");
        return layout_mark(context->app, context->group, watch->plan.id, folder, context->instance, ret_key,
                           error);
}

/* Only beside a register that is there: who has none to be counted by says nothing. */
static void pay_mark(RolloutWatch *watch) {
        char key[LAYOUT_KEY_MAX], text[MARK_TEXT_MAX];
        Error error = {};
        int r;

        if (watch->mark || part_of(watch)->owes == OWES_NOTHING || !watch->reg ||
            boot_now(watch) < watch->mark_at)
                return;
        r = make_mark(watch, key, text, &error);
        if (r >= 0)
                r = depot_put_start(watch->context.depot, key, text, strlen(text), DEPOT_CREATE, NULL,
                                    on_mark, watch, &watch->mark, &error);
        if (r < 0)
                retry_mark(watch, &error);
}

/* Settling. */

static uint64_t proven_at(const RolloutWatch *watch) {
        return usec_add(watch->proving, watch->target->rollout.min_healthy_time);
}

/* It counts once it has been healthy for long enough, if it still has its place by then. */
static bool prove(RolloutWatch *watch) {
        const PartFacts facts = facts_of(watch);

        if (!rollout_record_is_proving(part_of(watch), &facts)) {
                watch->proving = 0;
                return false;
        }
        if (watch->proving == 0)
                watch->proving = boot_now(watch);
        if (boot_now(watch) < proven_at(watch))
                return false;
        if (!watch->reg || watch->seen < proven_at(watch)) {
                rollout_watch_look(watch);
                return false;
        }
        if (step_of(watch) != ROLE_WAIT)
                return false;
        rollout_record_prove(part_of(watch));
        return true;
}

static bool join(RolloutWatch *watch) {
        const PartFacts facts = facts_of(watch);
        bool is_new = strcmp(part_of(watch)->id, watch->plan.id) != 0;

        watch->new_here = watch->new_here || is_new;
        return rollout_record_settle(part_of(watch), &facts);
}

static void advance(RolloutWatch *watch) {
        bool changed = false, more = true;

        for (unsigned i = 0; i < STEPS_MAX && more; i++) {
                more = join(watch);
                more = prove(watch) || more;
                more = take_step(watch) || more;
                changed = changed || more;
        }
        if (changed)
                keep_part(watch);
}

static RolloutViewFacts view_of(const RolloutWatch *watch) {
        return (RolloutViewFacts){
                .part = part_of(watch),
                .part_facts = facts_of(watch),
                .instance = watch->context.instance,
                .found = watch->found,
                .reg = watch->reg,
                .problem = watch->problem,
                .now = depot_now(watch),
        };
}

/* When something is to be done although nobody calls. */
static uint64_t wakes_at(const RolloutWatch *watch) {
        const RegisterPlace *place =
                watch->reg ? register_find_place(watch->reg, watch->context.instance) : NULL;
        uint64_t at = watch->op ? USEC_INFINITY : watch->next_look, now = depot_now(watch);

        if (watch->found == REGISTER_NOT_READ)
                at = MIN(at, watch->began + FIRST_LOOK_MAX);
        if (part_of(watch)->owes != OWES_NOTHING && watch->reg && !watch->mark)
                at = MIN(at, watch->mark_at);
        if (watch->proving > 0 && boot_now(watch) < proven_at(watch))
                at = MIN(at, proven_at(watch));
        if (place && place->until > now)
                at = MIN(at, usec_add(boot_now(watch), place->until - now));
        return at;
}

static void go_on(RolloutWatch *watch) {
        if (watch->situation.life_known)
                pay_mark(watch);
        if (!watch->op && !watch->mark && is_to_write(watch))
                begin_write(watch);
        (void) sd_event_source_set_time(watch->timer, wakes_at(watch));
        (void) sd_event_source_set_enabled(watch->timer, SD_EVENT_ONESHOT);
}

static int on_timer(_unused_ sd_event_source *source, _unused_ uint64_t usec, void *userdata) {
        RolloutWatch *watch = userdata;
        uint64_t now = boot_now(watch);

        if (watch->found == REGISTER_NOT_READ && now >= watch->began + FIRST_LOOK_MAX)
                watch->found = REGISTER_UNREADABLE;
        if (!watch->op && now >= watch->next_look) {
                begin_look(watch, &watch->op);
                plan_look(watch);
        }
        watch->changed(watch, watch->userdata);
        return 0;
}

/* Following. */

static void stop_asking(RolloutWatch *watch) {
        bool looked = watch->look;

        watch->op = register_op_free(watch->op);
        watch->look = register_op_free(watch->look);
        watch->writing = false;
        watch->look_again = watch->look_again || looked;
}

static void forget(RolloutWatch *watch) {
        stop_asking(watch);
        lose_register(watch, REGISTER_NOT_READ);
        watch->mark = depot_op_free(watch->mark);
        watch->mark_at = 0;
        watch->mark_delay = MARK_RETRY_FIRST;
        watch->proving = 0;
        watch->problem[0] = '\0';
        watch->began = watch->next_look = boot_now(watch);
}

static int copy_target(const Target *target, Target **ret, Error *error) {
        _cleanup_free_ char *text = NULL;
        size_t size;
        int r;

        r = target_to_json(target, &text, &size, error);
        if (r >= 0)
                r = target_parse(text, size, ret, error);
        if (r >= 0)
                memcpy((*ret)->sha256, target->sha256, sizeof((*ret)->sha256));
        return r;
}

/* The same rollout may go on under a new serial: with a freeze, say. */
static int follow(RolloutWatch *watch, const Target *target, Error *error) {
        char before[ROLLOUT_ID_MAX];
        Target *copy;
        int r;

        if (watch->target && strcmp(watch->target->sha256, target->sha256) == 0)
                return 0;
        r = copy_target(target, &copy, error);
        if (r < 0)
                return r;
        stop_asking(watch);
        snprintf(before, sizeof(before), "%s", watch->follows ? watch->plan.id : "");
        target_free(watch->target);
        watch->target = copy;
        rollout_plan_make(copy, &watch->plan);
        watch->follows = rollout_plan_is_shared(&watch->plan);
        if (!watch->follows || strcmp(before, watch->plan.id) != 0)
                forget(watch);
        watch->next_look = boot_now(watch);
        if (watch->follows && watch->look_again)
                begin_look(watch, &watch->look);
        watch->look_again = false;
        return 0;
}

static void leave(RolloutWatch *watch) {
        (void) sd_event_source_set_enabled(watch->timer, SD_EVENT_OFF);
        watch->reason[0] = '\0';
        if (!part_of(watch)->id[0])
                return;
        *part_of(watch) = (RolloutRecord){};
        keep_part(watch);
}

void rollout_watch_settle(RolloutWatch *watch, const RolloutSituation *situation) {
        RolloutViewFacts view;
        Error error = {};

        watch->situation = *situation;
        if (situation->target && follow(watch, situation->target, &error) < 0)
                tell_problem(watch, &error);
        if (!watch->target)
                return;
        if (!watch->follows) {
                leave(watch);
                return;
        }
        memcpy(watch->env_sha256, situation->env_sha256, sizeof(watch->env_sha256));
        if (situation->target && situation->life_known)
                advance(watch);
        view = view_of(watch);
        rollout_view_reason(&view, watch->reason);
        go_on(watch);
}

/* What others ask. */

bool rollout_watch_wish(const RolloutWatch *watch, RolloutWish *ret) {
        const PartFacts facts = facts_of(watch);

        if (!watch->follows)
                return false;
        rollout_record_wish(part_of(watch), &facts, watch->found, watch->reg, ret);
        return true;
}

const char *rollout_watch_reason(const RolloutWatch *watch) {
        return watch->reason;
}

void rollout_watch_look(RolloutWatch *watch) {
        if (watch->look || !watch->target)
                watch->look_again = true;
        else if (watch->follows)
                begin_look(watch, &watch->look);
}

bool rollout_watch_is_looking(const RolloutWatch *watch) {
        return watch->look;
}

const char *rollout_watch_objects(RolloutWatch *watch, bool switching) {
        const RolloutRecord *part = part_of(watch);
        Error error = {};

        if (!watch->follows || part->standing != STANDING_CHANGING || watch->found == REGISTER_NOT_READ)
                return NULL;
        if (watch->reg &&
            register_check_holder(watch->reg, &watch->plan, watch->context.instance, part->attempt,
                                  REGISTER_UP, switching, depot_now(watch), &error) >= 0)
                return NULL;
        snprintf(watch->objection, sizeof(watch->objection), "rollout %s: %.*s", watch->plan.id,
                 (int) sizeof(watch->objection) - 128,
                 watch->reg ? error.message : "its register is missing or cannot be read");
        return watch->objection;
}

void rollout_watch_deploys(RolloutWatch *watch, const ReleaseRef *release, const char *id) {
        RolloutRecord *part = part_of(watch);

        if (watch->follows && part->standing == STANDING_CHANGING &&
            string_equal(release->version, watch->plan.to->version) &&
            strcmp(release->sha256, watch->plan.to->sha256) == 0)
                snprintf(part->deployment, sizeof(part->deployment), "%s", id);
}

json_t *rollout_watch_to_json(const RolloutWatch *watch, bool report) {
        RolloutViewFacts view;

        if (!watch->follows)
                return json_null();
        view = view_of(watch);
        return report ? rollout_view_report(&view) : rollout_view_status(&view);
}

int rollout_watch_new(const RolloutWatchContext *context, RolloutWatchChanged changed, void *userdata,
                      RolloutWatch **ret, Error *error) {
        _cleanup_(rollout_watch_freep) RolloutWatch *watch = calloc(1, sizeof(*watch));
        int r;

        if (!watch)
                return error_oom(error);
        watch->context = *context;
        watch->changed = changed;
        watch->userdata = userdata;
        watch->mark_delay = MARK_RETRY_FIRST;
        watch->site = (RegisterSite){
                .depot = context->depot,
                .app = context->app,
                .group = context->group,
                .writer = context->instance,
                .plan = &watch->plan,
                .silence = SILENT_INTERVALS * context->report_interval,
        };
        r = sd_event_add_time(context->event, &watch->timer, CLOCK_BOOTTIME, 0, TIMER_ACCURACY_EXACT,
                              on_timer, watch);
        if (r >= 0)
                r = sd_event_source_set_enabled(watch->timer, SD_EVENT_OFF);
        if (r < 0)
                return error_set_errno(error, r, "cannot use the event loop");
        *ret = TAKE_PTR(watch);
        return 0;
}

RolloutWatch *rollout_watch_free(RolloutWatch *watch) {
        if (!watch)
                return NULL;
        sd_event_source_disable_unref(watch->timer);
        register_op_free(watch->op);
        register_op_free(watch->look);
        register_op_free(watch->kept);
        depot_op_free(watch->mark);
        target_free(watch->target);
        free(watch);
        return NULL;
}
