#include <inttypes.h>
#include <string.h>

#include "agent/base/clock.h"
#include "agent/base/random.h"
#include "agent/base/strv.h"
#include "agent/register_store.h"
#include "artifacts/layout.h"

#define NONCE_SIZE 33

typedef enum Verb {
        VERB_READ,
        VERB_CREATE,
        VERB_CHANGE,
} Verb;

struct RegisterOp {
        RegisterSite site;
        Verb verb;
        RegisterEvent event;
        char *by, *reason; /* the event's */
        char *if_none_match;
        RegisterDone done;
        void *userdata;

        char key[LAYOUT_KEY_MAX];      /* of the register */
        char marks_at[LAYOUT_KEY_MAX]; /* prefixes to list */
        char reports_at[LAYOUT_KEY_MAX];
        sd_event_source *timer;
        DepotOp *request; /* the one that runs, or ... */
        AlarmsLook *look;
        Register *reg;
        char *etag;
        uint64_t now;
        RolloutMarks marks;
        char nonce[NONCE_SIZE]; /* of the last write that was tried; "": none was */
        bool unclear;           /* whether that arrived is not known */
        unsigned tries, failures;
        RegisterTally tally;
        Error error; /* of the last try */
};

uint64_t register_backoff(unsigned losses, uint64_t fleet) {
        uint64_t window = REGISTER_BACKOFF_FIRST << MIN(losses, 10U), of_fleet;

        if (__builtin_mul_overflow(fleet, REGISTER_BACKOFF_OF_ONE, &of_fleet))
                of_fleet = REGISTER_BACKOFF_MAX;
        return MIN(usec_add(window, of_fleet), REGISTER_BACKOFF_MAX);
}

static void read_register(RegisterOp *op);

/* Tells the end; OP may be gone afterwards. */
static void finish(RegisterOp *op, int result) {
        op->request = depot_op_free(op->request);
        (void) sd_event_source_set_enabled(op->timer, SD_EVENT_OFF);
        op->done(op, result, result < 0 ? &op->error : NULL, op->userdata);
}

static void run_after(RegisterOp *op, uint64_t usec) {
        (void) sd_event_source_set_time_relative(op->timer, usec);
        (void) sd_event_source_set_enabled(op->timer, SD_EVENT_ONESHOT);
}

/* Another try, unless there were enough: then RESULT is how it ends. */
static void try_again(RegisterOp *op, int result) {
        uint64_t fleet = op->reg ? op->reg->live : 0;

        op->request = depot_op_free(op->request);
        if (++op->tries >= REGISTER_TRIES_MAX) {
                finish(op, result);
                return;
        }
        run_after(op, random_below(register_backoff(op->tries - 1, fleet)));
}

/* Whether an answer is one that another try may change. */
static bool is_passing(int r, const Error *error) {
        return error->fault == FAULT_HOST && r != -ENOMEM && r != -EACCES;
}

/* A request has ended without an answer that says anything. */
static void fail(RegisterOp *op, int result, const Error *error) {
        bool enough = ++op->failures == op->site.failures_max;

        op->error = *error;
        if (is_passing(result, error) && !enough)
                try_again(op, result);
        else
                finish(op, result);
}

static void give_up(RegisterOp *op, int r) {
        finish(op, error_set_errno(&op->error, r, "rollout %s", op->site.plan->id));
}

/* Writing */

static int make_nonce(char ret[static NONCE_SIZE]) {
        return snprintf(ret, NONCE_SIZE, "%016" PRIx64 "%016" PRIx64, random_u64(), random_u64());
}

static void exists_already(RegisterOp *op) {
        finish(op, error_set_fault(&op->error, -EEXIST, FAULT_INPUT,
                                   "rollout %s: there is a register already", op->site.plan->id));
}

static void on_written(DepotOp *request, int result, const Error *error, void *userdata) {
        RegisterOp *op = userdata;
        const DepotReply *reply = depot_op_reply(request);

        if (result < 0) {
                op->unclear = is_passing(result, error);
                op->tally.unclear += op->unclear;
                fail(op, result, error);
                return;
        }
        if (reply->outcome == DEPOT_OK) {
                if (string_set(&op->etag, reply->etag) < 0)
                        give_up(op, -ENOMEM);
                else
                        finish(op, 1);
                return;
        }
        if (op->verb == VERB_CREATE) {
                exists_already(op);
                return;
        }
        op->tally.conflicts++;
        (void) error_set_fault(&op->error, -EBUSY, FAULT_HOST,
                               "rollout %s: others wrote the register each time that it was tried",
                               op->site.plan->id);
        try_again(op, -EBUSY);
}

static void write_register(RegisterOp *op) {
        _cleanup_free_ char *text = NULL;
        size_t size;
        int r;

        (void) make_nonce(op->nonce);
        r = register_sign(op->reg, op->nonce, op->site.writer, op->now);
        if (r < 0) {
                give_up(op, r);
                return;
        }
        r = register_to_json(op->reg, &text, &size, &op->error);
        if (r >= 0)
                r = depot_put_start(op->site.depot, op->key, text, size,
                                    op->verb == VERB_CREATE ? DEPOT_CREATE : DEPOT_MATCH,
                                    op->verb == VERB_CREATE ? NULL : op->etag, on_written, op, &op->request,
                                    &op->error);
        if (r < 0)
                finish(op, r);
        else
                op->tally.requests++;
}

/* What has been read and listed is all there: what comes of it? After an answer that was lost, "it is so already" is what was
 * wanted, whoever did it. */
static void take_step(RegisterOp *op, const AlarmsSight *alarms) {
        RegisterSight sight = {
                .plan = op->site.plan, .marks = &op->marks, .alarms = alarms, .now = op->now
        };
        bool was_unclear = op->unclear;
        int r;

        rollout_marks_settle(&op->marks);
        op->unclear = false;
        r = register_step(op->reg, &op->event, &sight, &op->error);
        if (r > 0)
                write_register(op);
        else
                finish(op, was_unclear && (r == -EALREADY || r == -ESTALE) ? 0 : r);
}

static void on_alarms(_unused_ AlarmsLook *look, const AlarmsSight *sight, void *userdata) {
        RegisterOp *op = userdata;

        op->look = alarms_look_free(op->look);
        take_step(op, sight);
}

static void look_at_alarms(RegisterOp *op) {
        int r;

        if (!register_wants_alarms(op->reg, op->site.plan, op->now)) {
                take_step(op, NULL);
                return;
        }
        r = alarms_look_start(depot_event(op->site.depot), op->site.aws,
                              op->site.plan->target->rollout.alarms.items, on_alarms, op, &op->look,
                              &op->error);
        if (r < 0)
                finish(op, r);
}

static uint64_t count_live(const RolloutMarks *marks) {
        uint64_t n = 0;

        for (size_t i = 0; i < marks->n; i++)
                n += marks->items[i].live;
        return n;
}

static void create(RegisterOp *op) {
        int r;

        rollout_marks_settle(&op->marks);
        op->reg = register_free(op->reg);
        r = register_open(op->site.plan, count_live(&op->marks), op->now, &op->reg, &op->error);
        if (r < 0)
                finish(op, r);
        else
                write_register(op);
}

/* Listing */

static void on_reports(DepotOp *request, int result, const Error *error, void *userdata) {
        RegisterOp *op = userdata;
        const DepotReply *reply = depot_op_reply(request);
        int r;

        if (result < 0) {
                fail(op, result, error);
                return;
        }
        r = rollout_marks_add_reports(&op->marks, op->reports_at, reply->entries, reply->n_entries,
                                      op->now - MIN(op->now, op->site.silence));
        op->request = depot_op_free(op->request);
        if (r < 0)
                give_up(op, r);
        else if (op->verb == VERB_CREATE)
                create(op);
        else
                look_at_alarms(op);
}

static void list_at(RegisterOp *op, const char *prefix, DepotDone done) {
        int r = depot_list_start(op->site.depot, prefix, done, op, &op->request, &op->error);

        if (r < 0)
                finish(op, r);
        else
                op->tally.requests++;
}

static void on_marks(DepotOp *request, int result, const Error *error, void *userdata) {
        RegisterOp *op = userdata;
        const DepotReply *reply = depot_op_reply(request);
        int r;

        if (result < 0) {
                fail(op, result, error);
                return;
        }
        r = rollout_marks_add_list(&op->marks, op->marks_at, reply->entries, reply->n_entries);
        op->request = depot_op_free(op->request);
        if (r < 0)
                give_up(op, r);
        else
                list_at(op, op->reports_at, on_reports);
}

/* Reading */

static void see_time(RegisterOp *op, const DepotReply *reply) {
        op->now = reply->server_time ?: clock_realtime(&clock_system);
}

static int parse_reply(RegisterOp *op, const DepotReply *reply) {
        if (string_set(&op->etag, reply->etag) < 0)
                return error_oom(&op->error);
        op->reg = register_free(op->reg);
        return register_parse(reply->body, reply->body_size, &op->reg, &op->error);
}

static void on_register_there(RegisterOp *op, const DepotReply *reply) {
        int r = parse_reply(op, reply);
        bool ours;

        op->request = depot_op_free(op->request);
        if (r < 0) {
                finish(op, r);
                return;
        }
        ours = op->unclear && strcmp(op->reg->nonce, op->nonce) == 0;
        if (op->verb == VERB_READ || ours)
                finish(op, 1);
        else if (op->verb == VERB_CREATE)
                exists_already(op);
        else if (op->event.kind == REGISTER_TAKE_IN)
                list_at(op, op->marks_at, on_marks);
        else
                take_step(op, NULL);
}

static void on_register(DepotOp *request, int result, const Error *error, void *userdata) {
        RegisterOp *op = userdata;
        const DepotReply *reply = depot_op_reply(request);

        if (result == -E2BIG) { /* no register is: it is rubbish like any other */
                finish(op,
                       error_set_fault(&op->error, -EBADMSG, FAULT_INPUT, "register: %s", error->message));
                return;
        }
        if (result < 0) {
                fail(op, result, error);
                return;
        }
        see_time(op, reply);
        if (reply->outcome == DEPOT_OK) {
                on_register_there(op, reply);
        } else if (reply->outcome == DEPOT_NOT_MODIFIED) {
                finish(op, 0);
        } else if (op->verb == VERB_CREATE) {
                op->request = depot_op_free(op->request);
                op->unclear = false;
                list_at(op, op->reports_at, on_reports);
        } else
                finish(op, error_set_fault(&op->error, -ENOENT, FAULT_INPUT,
                                           "rollout %s: there is no register", op->site.plan->id));
}

/* All begins with what is there; one that is to be made is not expected there, but its write may have been lost sight of. */
static void read_register(RegisterOp *op) {
        int r;

        rollout_marks_deinit(&op->marks);
        r = depot_get_start(op->site.depot, op->key, op->if_none_match, REGISTER_SIZE_MAX, on_register, op,
                            &op->request, &op->error);
        if (r < 0)
                finish(op, r);
        else
                op->tally.requests++;
}

static int on_timer(_unused_ sd_event_source *source, _unused_ uint64_t usec, void *userdata) {
        read_register(userdata);
        return 0;
}

static int find_keys(RegisterOp *op, Error *error) {
        const RegisterSite *site = &op->site;
        int r;

        r = layout_rollout(site->app, site->group, site->plan->id, op->key, error);
        if (r >= 0)
                r = layout_rollout_marks(site->app, site->group, site->plan->id, op->marks_at, error);
        return r < 0 ? r : layout_instances(site->app, site->group, op->reports_at, error);
}

/* The first request is made from the event loop, too: DONE is never called from here. */
static int start(const RegisterSite *site, Verb verb, const RegisterEvent *event, const char *if_none_match,
                 RegisterDone done, void *userdata, RegisterOp **ret, Error *error) {
        _cleanup_(register_op_freep) RegisterOp *op = calloc(1, sizeof(*op));
        int r;

        if (!op)
                return error_oom(error);
        op->site = *site;
        op->verb = verb;
        op->done = done;
        op->userdata = userdata;
        if (event)
                op->event = *event;
        if (string_set(&op->if_none_match, if_none_match) < 0 || string_set(&op->by, op->event.by) < 0 ||
            string_set(&op->reason, op->event.reason) < 0)
                return error_oom(error);
        op->event.by = op->by;
        op->event.reason = op->reason;
        r = find_keys(op, error);
        if (r < 0)
                return r;
        r = sd_event_add_time_relative(depot_event(site->depot), &op->timer, CLOCK_BOOTTIME, 0,
                                       TIMER_ACCURACY_EXACT, on_timer, op);
        if (r < 0)
                return error_set_errno(error, r, "cannot add a timer");
        *ret = TAKE_PTR(op);
        return 0;
}

int register_read_start(const RegisterSite *site, const char *if_none_match, RegisterDone done,
                        void *userdata, RegisterOp **ret, Error *error) {
        return start(site, VERB_READ, NULL, if_none_match, done, userdata, ret, error);
}

int register_create_start(const RegisterSite *site, RegisterDone done, void *userdata, RegisterOp **ret,
                          Error *error) {
        return start(site, VERB_CREATE, NULL, NULL, done, userdata, ret, error);
}

int register_change_start(const RegisterSite *site, const RegisterEvent *event, RegisterDone done,
                          void *userdata, RegisterOp **ret, Error *error) {
        return start(site, VERB_CHANGE, event, NULL, done, userdata, ret, error);
}

RegisterOp *register_op_free(RegisterOp *op) {
        if (!op)
                return NULL;
        depot_op_free(op->request);
        alarms_look_free(op->look);
        sd_event_source_disable_unref(op->timer);
        register_free(op->reg);
        rollout_marks_deinit(&op->marks);
        free(op->etag);
        free(op->if_none_match);
        free(op->by);
        free(op->reason);
        free(op);
        return NULL;
}

const Register *register_op_register(const RegisterOp *op) {
        return op->reg;
}

const char *register_op_etag(const RegisterOp *op) {
        return op->etag;
}

uint64_t register_op_time(const RegisterOp *op) {
        return op->now;
}

const RegisterTally *register_op_tally(const RegisterOp *op) {
        return &op->tally;
}
