#include <inttypes.h>
#include <string.h>

#include "agent/base/log.h"
#include "agent/base/strv.h"
#include "agent/base/timer.h"
#include "agent/base/utf8.h"
#include "agent/rollout_view.h"
#include "agent/rollout_watch.h"
#include "artifacts/layout.h"

#define MARK_RETRY_FIRST (2 * USEC_PER_SEC)
#define MARK_RETRY_MAX (60 * USEC_PER_SEC)
#define PARTING_MAX (10 * USEC_PER_SEC) /* from the end of what the instance stops as it leaves */
#define MARK_TEXT_MAX 512U
#define STEPS_MAX 8U /* of one settling: the longest way through the standings that needs nobody else */

typedef enum HealthSeen {
        HEALTH_NOT_SEEN, /* since it was wanted */
        HEALTH_SEEN_GOOD,
        HEALTH_SEEN_BAD,
} HealthSeen;

struct RolloutWatch {
        RolloutWatchContext context;
        RolloutWatchChanged changed;
        void *userdata;
        sd_event_source *timer;
        RegisterWatch *look;

        Target *target; /* a copy: who accepts a new one frees the old */
        RolloutPlan plan;
        bool follows; /* the plan is one that the fleet shares */
        char env_sha256[DIGEST_HEX_SIZE];
        RolloutSituation situation; /* without its pointers */

        DepotOp *mark;
        uint64_t mark_at, mark_delay; /* the next try, on the boot-time clock */
        uint64_t said_at;             /* boot time: when the last mark was made; 0: not in this run */
        bool new_here;                /* the part was begun in this run, and has said nothing yet */
        uint64_t proving; /* boot time: since when it is healthy, as far as is known; 0: it is not proving */
        HealthSeen health;
        uint64_t health_at;     /* boot time */
        uint64_t parting_until; /* likewise; 0: the instance stays, or has yet to stop what runs */

        char reason[ROLLOUT_REASON_MAX];
        char objection[ERROR_MESSAGE_MAX];
        /* Each is "" as soon as it is over. */
        char record_problem[ERROR_MESSAGE_MAX], mark_problem[ERROR_MESSAGE_MAX],
                target_problem[ERROR_MESSAGE_MAX];
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
                .leaves = watch->situation.leaves,
                .deploying = watch->situation.deploying,
                .now = clock_realtime(watch->context.look.clock),
                .depot_now = register_watch_now(watch->look),
        };
}

static uint64_t boot_now(const RolloutWatch *watch) {
        return clock_boottime(watch->context.look.clock);
}

static uint64_t depot_now(const RolloutWatch *watch) {
        return register_watch_now(watch->look);
}

static const Register *register_of(const RolloutWatch *watch) {
        return register_watch_register(watch->look);
}

static void tell_problem(const RolloutWatch *watch, char problem[static ERROR_MESSAGE_MAX],
                         const Error *error) {
        const LogFields fields = { .app = watch->context.look.app, .instance = watch->context.look.instance };

        if (strcmp(problem, error->message) == 0)
                return;
        snprintf(problem, ERROR_MESSAGE_MAX, "%s", error->message);
        log_message(LOG_WARNING, NULL, &fields, "rollout %s: %s", watch->plan.id, problem);
}

static void keep_part(RolloutWatch *watch) {
        Error error = {};

        if (record_save(watch->context.app_fd, watch->context.record, &error) < 0)
                tell_problem(watch, watch->record_problem, &error);
        else
                watch->record_problem[0] = '\0';
}

static void log_part(const RolloutWatch *watch, const char *what) {
        const LogFields fields = { .app = watch->context.look.app,
                                   .version = watch->plan.to->version,
                                   .instance = watch->context.look.instance };

        log_message(LOG_INFO, NULL, &fields, "rollout %s: %s (attempt %u)", watch->plan.id, what,
                    part_of(watch)->attempt);
}

/* What it said before it wrote the register itself has been taken in. */
static bool is_heard(const RolloutWatch *watch) {
        return watch->said_at > 0 && register_watch_wrote(watch->look) >= watch->said_at;
}

/* The role, from the register as it was read and the time that has passed since. */

static Role role_of(const RolloutWatch *watch) {
        const RolloutRecord *part = part_of(watch);
        const RoleFacts facts = {
                .reg = register_of(watch),
                .plan = &watch->plan,
                .place = register_find_place(register_of(watch), watch->context.look.instance),
                .instance = watch->context.look.instance,
                .standing = part->standing,
                .attempt = part->attempt,
                .said = is_heard(watch) ? 0 : part->said,
                .now = depot_now(watch),
        };
        Role role;

        rollout_role(&facts, &role);
        return role;
}

/* Without a register nobody can show that he has a place. */
static RoleStep step_of(const RolloutWatch *watch) {
        RegisterFound found = register_watch_found(watch->look);
        bool gone = found == REGISTER_MISSING || found == REGISTER_UNREADABLE;

        if (register_of(watch))
                return role_of(watch).step;
        return gone && (part_of(watch)->standing == STANDING_CHANGING ||
                        part_of(watch)->standing == STANDING_ASKED)
                       ? ROLE_BACK_OUT
                       : ROLE_WAIT;
}

/* How what serves is before it is changed: an attempt on an instance that was sick says nothing of the release. */
static bool knows_health(const RolloutWatch *watch) {
        return !watch->plan.staged || watch->health != HEALTH_NOT_SEEN;
}

/* What needs a fresh look is taken only with one, but this is asked at any time: the deadline of a place passes by itself. */
static bool take_step(RolloutWatch *watch) {
        const PartFacts facts = facts_of(watch);
        RoleStep step = step_of(watch);

        if (facts.absent || (step == ROLE_ASK_UP && !knows_health(watch)))
                return false;
        part_of(watch)->sick_before |= step == ROLE_GO_UP && watch->health == HEALTH_SEEN_BAD;
        if (!rollout_record_take(part_of(watch), &facts, step))
                return false;
        log_part(watch, role_step_to_string(step));
        return true;
}

/* Marks. */

static void retry_mark(RolloutWatch *watch, const Error *error) {
        tell_problem(watch, watch->mark_problem, error);
        watch->mark_at = boot_now(watch) + watch->mark_delay;
        watch->mark_delay = MIN(watch->mark_delay * 2, MARK_RETRY_MAX);
}

/* One that is there already was made before a crash; but who has no memory of this rollout at all has a past in it that he does
 * not know, and begins after it. */
static void on_mark(DepotOp *op, int result, const Error *error, void *userdata) {
        RolloutWatch *watch = userdata;
        RolloutRecord *part = part_of(watch);
        bool exists = result >= 0 && depot_op_reply(op)->outcome == DEPOT_PRECONDITION_FAILED;

        if (result < 0)
                retry_mark(watch, error);
        watch->mark = depot_op_free(watch->mark); /* and with it the error */
        if (result < 0) {
                watch->changed(watch, watch->userdata);
                return;
        }
        watch->mark_delay = MARK_RETRY_FIRST;
        watch->mark_problem[0] = '\0';
        if (exists && watch->new_here && part->owes == MARK_UP) {
                rollout_record_begin_anew(part);
        } else {
                log_part(watch, mark_to_string(part->owes));
                rollout_record_say(part, depot_now(watch));
                watch->new_here = false;
                watch->said_at = boot_now(watch);
                register_watch_has_news(watch->look);
        }
        keep_part(watch);
        watch->changed(watch, watch->userdata);
}

static int make_mark(const RolloutWatch *watch, char ret_key[static LAYOUT_KEY_MAX],
                     char ret_text[static MARK_TEXT_MAX], Error *error) {
        const RegisterWatchContext *context = &watch->context.look;
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

        if (watch->mark || part_of(watch)->owes == OWES_NOTHING || !register_of(watch) ||
            boot_now(watch) < watch->mark_at)
                return;
        r = make_mark(watch, key, text, &error);
        if (r >= 0)
                r = depot_put_start(watch->context.look.depot, key, text, strlen(text), DEPOT_CREATE, NULL,
                                    on_mark, watch, &watch->mark, &error);
        if (r < 0)
                retry_mark(watch, &error);
}

/* Settling. */

static uint64_t proven_at(const RolloutWatch *watch) {
        return usec_add(watch->proving, watch->target->rollout.min_healthy_time);
}

/* What has just been deployed has passed its checks; where it is to be healthy for longer, it was looked at again. */
static bool is_proven(const RolloutWatch *watch) {
        return boot_now(watch) >= proven_at(watch) &&
               (watch->target->rollout.min_healthy_time == 0 ||
                (watch->health == HEALTH_SEEN_GOOD && watch->health_at >= watch->proving));
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
        if (!is_proven(watch))
                return false;
        if (!register_of(watch) || register_watch_seen(watch->look) < proven_at(watch)) {
                if (!register_watch_is_looking(watch->look))
                        register_watch_look(watch->look);
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
        if (changed || watch->record_problem[0])
                keep_part(watch);
}

static const char *problem_of(const RolloutWatch *watch) {
        const char *const problems[] = { register_watch_problem(watch->look), watch->record_problem,
                                         watch->mark_problem };

        for (size_t i = 0; i < ELEMENTSOF(problems); i++)
                if (*problems[i])
                        return problems[i];
        return watch->target_problem;
}

static RolloutViewFacts view_of(const RolloutWatch *watch) {
        return (RolloutViewFacts){
                .part = part_of(watch),
                .part_facts = facts_of(watch),
                .instance = watch->context.look.instance,
                .found = register_watch_found(watch->look),
                .reg = register_of(watch),
                .problem = problem_of(watch),
                .now = depot_now(watch),
        };
}

/* When something is to be done although nobody calls. */
static uint64_t wakes_at(const RolloutWatch *watch) {
        const Register *reg = register_of(watch);
        const RegisterPlace *place = reg ? register_find_place(reg, watch->context.look.instance) : NULL;
        uint64_t at = USEC_INFINITY, now = depot_now(watch);

        if (part_of(watch)->owes != OWES_NOTHING && reg && !watch->mark)
                at = MIN(at, watch->mark_at);
        if (watch->proving > 0 && boot_now(watch) < proven_at(watch))
                at = MIN(at, proven_at(watch));
        if (watch->parting_until > boot_now(watch))
                at = MIN(at, watch->parting_until);
        if (place && place->until > now)
                at = MIN(at, usec_add(boot_now(watch), place->until - now));
        return at;
}

static void go_on(RolloutWatch *watch) {
        if (watch->situation.life_known)
                pay_mark(watch);
        if (!watch->mark)
                register_watch_go_on(watch->look);
        (void) sd_event_source_set_time(watch->timer, wakes_at(watch));
        (void) sd_event_source_set_enabled(watch->timer, SD_EVENT_ONESHOT);
}

static int on_timer(_unused_ sd_event_source *source, _unused_ uint64_t usec, void *userdata) {
        RolloutWatch *watch = userdata;

        watch->changed(watch, watch->userdata);
        return 0;
}

static void on_register(void *userdata) {
        RolloutWatch *watch = userdata;

        watch->changed(watch, watch->userdata);
}

static void on_role(void *userdata, Role *ret) {
        *ret = role_of(userdata);
}

/* Following. */

static void forget(RolloutWatch *watch) {
        watch->mark = depot_op_free(watch->mark);
        watch->mark_at = 0;
        watch->mark_delay = MARK_RETRY_FIRST;
        watch->proving = 0;
        watch->health = HEALTH_NOT_SEEN;
        watch->record_problem[0] = watch->mark_problem[0] = '\0';
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
        Target *copy;
        int r;

        if (watch->target && strcmp(watch->target->sha256, target->sha256) == 0)
                return 0;
        r = copy_target(target, &copy, error);
        if (r < 0)
                return r;
        target_free(watch->target);
        watch->target = copy;
        rollout_plan_make(copy, &watch->plan);
        watch->follows = rollout_plan_is_shared(&watch->plan);
        if (register_watch_follow(watch->look, watch->follows ? &watch->plan : NULL))
                forget(watch);
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
        if (!situation->leaves || situation->deploying)
                watch->parting_until = 0;
        else if (watch->parting_until == 0)
                watch->parting_until = usec_add(boot_now(watch), PARTING_MAX);
        if (situation->target && follow(watch, situation->target, &error) < 0)
                tell_problem(watch, watch->target_problem, &error);
        else
                watch->target_problem[0] = '\0';
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
        rollout_record_wish(part_of(watch), &facts, register_watch_found(watch->look), register_of(watch),
                            ret);
        return true;
}

const char *rollout_watch_reason(const RolloutWatch *watch) {
        return watch->reason;
}

void rollout_watch_look(RolloutWatch *watch) {
        if (watch->follows || !watch->target)
                register_watch_look(watch->look);
}

bool rollout_watch_is_looking(const RolloutWatch *watch) {
        return register_watch_is_looking(watch->look);
}

const char *rollout_watch_objects(RolloutWatch *watch, bool switching) {
        const RolloutRecord *part = part_of(watch);
        const Register *reg = register_of(watch);
        Error error = {};

        if (!watch->follows || part->standing != STANDING_CHANGING ||
            register_watch_found(watch->look) == REGISTER_NOT_READ)
                return NULL;
        if (reg && register_check_holder(reg, &watch->plan, watch->context.look.instance, part->attempt,
                                         REGISTER_UP, switching, depot_now(watch), &error) >= 0)
                return NULL;
        utf8_format(watch->objection, sizeof(watch->objection), "rollout %s: %s", watch->plan.id,
                    reg ? error.message : "its register is missing or cannot be read");
        return watch->objection;
}

bool rollout_watch_is_parting(const RolloutWatch *watch) {
        const RolloutRecord *part = part_of(watch);
        const Register *reg = register_of(watch);

        return watch->follows && watch->situation.leaves && reg && register_goes_on(reg) &&
               (watch->parting_until == 0 || boot_now(watch) < watch->parting_until) &&
               (part->standing != STANDING_OUT || part->owes != OWES_NOTHING || part->good ||
                !is_heard(watch));
}

bool rollout_watch_wants_health(const RolloutWatch *watch) {
        const PartFacts facts = facts_of(watch);
        const RolloutRecord *part = part_of(watch);
        const Register *reg = register_of(watch);

        if (!watch->follows || !watch->plan.staged || !reg || facts.absent || facts.deploying ||
            !record_good_is_up(facts.record) ||
            (reg->state != REGISTER_ACTIVE && reg->state != REGISTER_PAUSED &&
             (reg->state != REGISTER_COMPLETE || part->standing >= STANDING_COMMITTED)))
                return false;
        if (part->standing == STANDING_BEFORE && watch->health != HEALTH_NOT_SEEN)
                return false;
        return part->standing <= STANDING_MEMBER && part->owes != MARK_FAILED &&
               rollout_record_asks_at(part, &facts) != USEC_INFINITY;
}

/* Whose release is not the new one is only looked at. */
void rollout_watch_take_health(RolloutWatch *watch, bool good, const char *reason) {
        Record *record = watch->context.record;
        RolloutRecord *part = part_of(watch);
        const PartFacts facts = facts_of(watch);
        bool has_new = rollout_record_is_proving(part, &facts) || part->standing == STANDING_COMMITTED ||
                       part->standing == STANDING_MEMBER;

        watch->health = good ? HEALTH_SEEN_GOOD : HEALTH_SEEN_BAD;
        watch->health_at = boot_now(watch);
        if (good || !has_new || part->owes != OWES_NOTHING || !rollout_watch_wants_health(watch))
                return;
        rollout_record_sicken(part);
        log_part(watch, "the release does not stay healthy");
        (void) record_note_failure(record, &record->good, STEP_HEALTH, watch->target->serial,
                                   watch->target->rollout.id, reason, facts.now);
        keep_part(watch);
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
        const RegisterWatchHandlers handlers = { on_register, on_role, watch };
        int r;

        if (!watch)
                return error_oom(error);
        watch->context = *context;
        watch->changed = changed;
        watch->userdata = userdata;
        watch->mark_delay = MARK_RETRY_FIRST;
        r = register_watch_new(&context->look, &handlers, &watch->look, error);
        if (r < 0)
                return r;
        r = timer_new(context->look.event, CLOCK_BOOTTIME, on_timer, watch, &watch->timer);
        if (r < 0)
                return error_set_errno(error, r, "cannot use the event loop");
        *ret = TAKE_PTR(watch);
        return 0;
}

RolloutWatch *rollout_watch_free(RolloutWatch *watch) {
        if (!watch)
                return NULL;
        sd_event_source_disable_unref(watch->timer);
        register_watch_free(watch->look);
        depot_op_free(watch->mark);
        target_free(watch->target);
        free(watch);
        return NULL;
}
