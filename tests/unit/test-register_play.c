/* Random plays of a rollout: agents that ask, change, fail, freeze, die and come back, several of them writing the
 * register at once with what they saw a while ago, an operator, and time. What tests/model proves of the rules is held here
 * against the code, after every step; at the end all comes to rest where it should. */

#include <inttypes.h>
#include <string.h>

#include "agent/base/clock.h"
#include "agent/base/parse.h"
#include "agent/register_step.h"
#include "tests/unit/test.h"

#define MINUTE (60 * USEC_PER_SEC)
#define START (UINT64_C(1795255200) * USEC_PER_SEC)
#define DIGEST "3939fb7807f8cb1aa2bb54f87b61fee0b36f2987a676a6db647110add167c9ba"
#define PLAYS 150 /* MUSTER_PLAYS has as many played as it says */
#define STEPS 400
#define ROUNDS 600
#define AGENTS_MAX 9
#define WRITERS 3
#define ATTEMPTS 6
#define SILENCE (3 * MINUTE) /* a report older than that is of one that is gone */
#define TICK_MAX 30          /* seconds */

typedef enum At {
        IDLE,
        ASKED,
        CHECKED,  /* has read the register before SWITCH */
        SWITCHED, /* runs the candidate, uncommitted */
        SURE,     /* has read it before COMMIT */
        COMMITTED,
        MEMBER, /* and has said so */
        BACKING,
        ASKED_DOWN,
        DOWNING,
        ENDED,
} At;

typedef struct Agent {
        char name[16];
        At at;
        bool dead, frozen, excused, slept;
        bool failing; /* why it goes back: the release's fault */
        unsigned attempt;
        unsigned said[ATTEMPTS + 1];
        uint64_t reported;
} Agent;

/* What a writer has read, a while ago. */
typedef struct Copy {
        bool taken;
        uint64_t etag;
        Register *reg;
        RolloutMarks marks;
        uint64_t now;
} Copy;

typedef struct Play {
        uint64_t random;
        TargetStage stages[4];
        Target target;
        RolloutPlan plan;
        Agent agents[AGENTS_MAX];
        unsigned n;
        bool calm; /* nothing goes wrong any more */
        char *text;
        size_t size;
        uint64_t etag;
        Register *reg; /* TEXT, parsed */
        Copy copies[WRITERS];
        uint64_t now;
        unsigned n_lost, n_writes;
} Play;

static unsigned below(Play *p, unsigned limit) {
        p->random = p->random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        return (unsigned) (p->random >> 33) % limit;
}

static bool chance(Play *p, unsigned percent) {
        return !p->calm && below(p, 100) < percent;
}

static bool is_awake(const Agent *a) {
        return !a->dead && !a->frozen;
}

static bool is_live(const Play *p, const Agent *a) {
        return a->reported + SILENCE >= p->now;
}

static bool is_running(const Agent *a) {
        return a->at >= SWITCHED && a->at <= DOWNING;
}

static bool is_changing(const Agent *a) {
        return (a->at >= SWITCHED && a->at <= COMMITTED) || a->at == BACKING || a->at == DOWNING;
}

static void see_marks(const Play *p, RolloutMarks *ret) {
        for (unsigned i = 0; i < p->n; i++) {
                const Agent *a = p->agents + i;

                if (is_live(p, a))
                        assert_int_equal(rollout_marks_add_live(ret, a->name), 0);
                for (unsigned attempt = 1; attempt <= ATTEMPTS; attempt++)
                        for (MarkKind kind = 0; kind < MARK_KINDS; kind++)
                                if (a->said[attempt] & (1U << kind))
                                        assert_int_equal(rollout_marks_add(ret, a->name, kind, attempt), 0);
        }
        rollout_marks_settle(ret);
}

/* The register in the depot, by its text: what one writes is what the others read. */
static void store(Play *p, Register *reg) {
        char nonce[32];
        uint64_t before = p->reg ? p->reg->rev : 0, stage = p->reg ? p->reg->stage : 0;
        RegisterState state = p->reg ? p->reg->state : REGISTER_ACTIVE;

        (void) snprintf(nonce, sizeof(nonce), "%016" PRIx64, ++p->etag);
        assert_int_equal(register_sign(reg, nonce, "i-0", p->now), 0);
        free(p->text);
        assert_int_equal(register_to_json(reg, &p->text, &p->size, NULL), 0);
        register_free(p->reg);
        assert_int_equal(register_parse(p->text, p->size, &p->reg, NULL), 0);
        assert_int_equal(p->reg->rev, before + 1);
        assert_true(p->reg->stage >= stage && (p->reg->stage == stage || p->reg->members > 0));
        if (p->target.rollout.promote == TARGET_PROMOTE_MANUAL)
                assert_true(p->reg->stage <= stage + 1);
        assert_true(state != REGISTER_ABORTED || p->reg->state == REGISTER_ABORTED);
        assert_true(p->reg->stage == stage || p->now >= rollout_plan_entry(&p->plan, p->reg->stage));
        p->n_writes++;
}

/* One write of what was read into COPY, with the ETag of then. */
static void write_copy(Play *p, Copy *copy, RegisterEventKind kind) {
        RegisterSight sight = { .plan = &p->plan, .marks = &copy->marks, .now = copy->now };
        RegisterEvent event = { .kind = kind, .by = "ana", .stage = copy->reg->stage };
        int r = register_step(copy->reg, &event, &sight, NULL);

        assert_true(r != -ENOMEM && r != -EINVAL);
        if (r > 0 && copy->etag == p->etag)
                store(p, copy->reg);
        else if (r > 0)
                p->n_lost++;
        copy->reg = register_free(copy->reg);
        rollout_marks_deinit(&copy->marks);
        copy->taken = false;
}

static void read_copy(Play *p, Copy *copy) {
        copy->taken = true;
        copy->etag = p->etag;
        copy->now = p->now;
        assert_int_equal(register_parse(p->text, p->size, &copy->reg, NULL), 0);
        see_marks(p, &copy->marks);
}

static void write_now(Play *p, RegisterEventKind kind) {
        Copy copy = {};

        read_copy(p, &copy);
        write_copy(p, &copy, kind);
}

static void say(Agent *a, MarkKind kind) {
        a->said[a->attempt] |= 1U << kind;
}

static bool may(const Play *p, const Agent *a, RegisterMove move, bool switching) {
        return register_check_holder(p->reg, &p->plan, a->name, a->attempt, move, switching, p->now, NULL) >=
               0;
}

static bool has_place(const Play *p, const Agent *a) {
        const RegisterPlace *place = register_find_place(p->reg, a->name);

        return place && place->attempt == a->attempt && !place->late;
}

static void end_attempt(Agent *a) {
        say(a, a->failing ? MARK_FAILED : MARK_VOID);
        a->at = a->failing || a->attempt == ATTEMPTS ? ENDED : IDLE;
        a->excused = false;
}

static void act_asked(Play *p, Agent *a) {
        const RegisterPlace *place = register_find_place(p->reg, a->name);

        if (may(p, a, REGISTER_UP, true))
                a->at = CHECKED;
        else if (place && place->attempt == a->attempt)
                end_attempt(a);
        else if (p->reg->state == REGISTER_ABORTED)
                a->at = ENDED;
}

static void act_switched(Play *p, Agent *a) {
        a->slept = false;
        if (chance(p, 10)) {
                a->failing = chance(p, 40);
                a->at = BACKING;
        } else
                a->at = may(p, a, REGISTER_UP, false) ? SURE : BACKING;
}

static void act_committed(Play *p, Agent *a) {
        bool good = may(p, a, REGISTER_UP, false);

        say(a, good ? MARK_GOOD : MARK_DOWN);
        a->at = good ? MEMBER : ASKED_DOWN;
        a->slept = false;
}

static void act_member(Play *p, Agent *a) {
        if (chance(p, 1))
                say(a, MARK_SICK);
        else if (p->reg->state != REGISTER_ABORTED)
                return;
        a->failing = a->said[a->attempt] & (1U << MARK_SICK);
        say(a, MARK_DOWN);
        a->at = ASKED_DOWN;
}

static void act_downing(Agent *a) {
        say(a, MARK_BACK);
        a->at = a->failing || a->attempt == ATTEMPTS ? ENDED : IDLE;
        a->excused = false;
}

/* The next thing that an agent does. */
static void act(Play *p, Agent *a) {
        switch (a->at) {
        case IDLE:
                if (p->reg->state == REGISTER_ABORTED)
                        return;
                a->attempt++;
                say(a, MARK_UP);
                a->at = ASKED;
                return;
        case ASKED:
                act_asked(p, a);
                return;
        case CHECKED:
                assert_true(has_place(p, a) || a->slept);
                a->at = SWITCHED;
                return;
        case SWITCHED:
                act_switched(p, a);
                return;
        case SURE:
                assert_true(has_place(p, a) || a->slept);
                a->at = COMMITTED;
                return;
        case COMMITTED:
                act_committed(p, a);
                return;
        case MEMBER:
                act_member(p, a);
                return;
        case BACKING:
                end_attempt(a);
                return;
        case ASKED_DOWN:
                if (may(p, a, REGISTER_DOWN, false))
                        a->at = DOWNING;
                return;
        case DOWNING:
                act_downing(a);
                return;
        case ENDED:
                return;
        }
}

static void freeze_or_wake(Play *p, Agent *a) {
        if (a->frozen) {
                a->excused = a->excused || (!is_live(p, a) && (is_running(a) || a->at == CHECKED));
                a->reported = p->now;
                a->frozen = false;
        } else {
                a->slept = a->at == CHECKED || a->at == SURE || a->at == COMMITTED;
                a->frozen = true;
        }
}

/* An agent that is awake does within the margin what it has just looked whether it may. */
static void tick(Play *p) {
        for (unsigned i = 0; i < p->n; i++) {
                Agent *a = p->agents + i;

                if (!is_awake(a))
                        continue;
                if (a->at == CHECKED || a->at == SURE)
                        act(p, a);
                a->reported = p->now;
        }
        p->now += (1 + below(p, TICK_MAX)) * USEC_PER_SEC;
}

static bool is_past(const Play *p, const Agent *a) {
        const RegisterPlace *place = register_find_place(p->reg, a->name);

        return place && p->now >= place->until + REGISTER_MARGIN;
}

static void check(const Play *p) {
        uint64_t running = 0, changing = 0, allowed = register_allowed(p->reg, &p->plan),
                 parallel = rollout_plan_parallel(&p->plan, p->reg->fleet, REGISTER_PLACES_MAX);

        for (unsigned i = 0; i < p->n; i++) {
                const Agent *a = p->agents + i;
                bool counts = is_live(p, a) && !a->excused;

                running += counts && is_running(a);
                changing += counts && is_changing(a) && !is_past(p, a);
        }
        if (running > allowed)
                fail_msg("%" PRIu64 " run the candidate, %" PRIu64 " may", running, allowed);
        if (changing > parallel)
                fail_msg("%" PRIu64 " change, %" PRIu64 " may", changing, parallel);
}

static void operate(Play *p) {
        static const RegisterEventKind events[] = { REGISTER_PAUSE,   REGISTER_RESUME,  REGISTER_RESUME,
                                                    REGISTER_PROMOTE, REGISTER_PROMOTE, REGISTER_ABORT };

        write_now(p, events[below(p, chance(p, 10) ? 6 : 5)]);
}

static void step(Play *p) {
        Agent *a = p->agents + below(p, p->n);
        Copy *copy = p->copies + below(p, WRITERS);
        unsigned what = below(p, 100);

        if (what < 45 && is_awake(a))
                act(p, a);
        else if (what < 80 && copy->taken)
                write_copy(p, copy, REGISTER_TAKE_IN);
        else if (what < 80)
                read_copy(p, copy);
        else if (what < 94)
                tick(p);
        else if (what < 97 && !a->dead)
                freeze_or_wake(p, a);
        else if (what < 98)
                operate(p);
        else if (chance(p, 20))
                a->dead = true;
}

/* A random plan for a random fleet. */
static void begin(Play *p, unsigned seed) {
        _cleanup_register_ Register *reg = NULL;
        unsigned n_stages;

        *p = (Play){ .random = seed * UINT64_C(0x9e3779b97f4a7c15) + 1, .now = START };
        n_stages = 1 + below(p, 4);
        for (unsigned i = 0; i + 1 < n_stages; i++)
                p->stages[i] = (TargetStage){ .share = { .count = i + 1 }, .bake = below(p, 5) * MINUTE };
        p->stages[n_stages - 1].share.percent = 100;
        p->target = (Target){
                .serial = 1,
                .candidate = { .version = (char *) "2", .sha256 = DIGEST },
                .rollout = { .id = (char *) "r-1",
                             .not_before = START,
                             .stages = { p->stages, n_stages },
                             .max_failures = below(p, 3),
                             .promote = below(p, 4) == 0 ? TARGET_PROMOTE_MANUAL : TARGET_PROMOTE_AUTO,
                             .progress_deadline = 5 * MINUTE },
                .max_parallel = { .count = 1 + below(p, 3) },
        };
        p->n = 1 + below(p, AGENTS_MAX);
        for (unsigned i = 0; i < p->n; i++) {
                (void) snprintf(p->agents[i].name, sizeof(p->agents[i].name), "i-%u", i);
                p->agents[i].reported = START;
        }
        rollout_plan_make(&p->target, &p->plan);
        assert_int_equal(register_open(&p->plan, p->n, p->now, &reg, NULL), 0);
        store(p, reg);
}

static bool is_at_rest(const Play *p) {
        for (unsigned i = 0; i < p->n; i++) {
                const Agent *a = p->agents + i;

                if (!a->dead && a->at != ENDED && (a->at != MEMBER || p->reg->state != REGISTER_COMPLETE) &&
                    (a->at != IDLE || p->reg->state != REGISTER_ABORTED))
                        return false;
        }
        return p->reg->state == REGISTER_COMPLETE || p->reg->state == REGISTER_ABORTED;
}

/* Whoever is not dead wakes up, nothing fails any more, and time passes: does it come to its end? */
static void come_to_rest(Play *p) {
        p->calm = true;
        for (unsigned round = 0; round < ROUNDS && !is_at_rest(p); round++) {
                for (unsigned i = 0; i < p->n; i++) {
                        if (p->agents[i].frozen && !p->agents[i].dead)
                                freeze_or_wake(p, p->agents + i);
                        if (is_awake(p->agents + i))
                                act(p, p->agents + i);
                        check(p);
                }
                write_now(p, REGISTER_TAKE_IN);
                if (p->reg->state == REGISTER_PAUSED)
                        write_now(p, REGISTER_RESUME);
                write_now(p, REGISTER_PROMOTE);
                tick(p);
        }
        write_now(p, REGISTER_TAKE_IN);
}

static void check_end(const Play *p) {
        bool waits = true; /* for instances that can do no more */

        for (unsigned i = 0; i < p->n; i++) {
                const Agent *a = p->agents + i;

                if (a->dead)
                        continue;
                waits = waits && a->at == ENDED;
                if (p->reg->state == REGISTER_ABORTED)
                        assert_false(is_running(a));
                if (p->reg->state == REGISTER_COMPLETE)
                        assert_true(a->at == MEMBER || a->at == ENDED);
                assert_false(has_place(p, a));
        }
        if (p->reg->state == REGISTER_ACTIVE || p->reg->state == REGISTER_PAUSED)
                for (unsigned i = 0; i < p->n && !waits; i++)
                        waits = !p->agents[i].dead && p->agents[i].attempt == ATTEMPTS &&
                                p->agents[i].at == ENDED;
        assert_true(waits || p->reg->state == REGISTER_ABORTED || p->reg->state == REGISTER_COMPLETE);
}

static void end(Play *p) {
        for (unsigned i = 0; i < WRITERS; i++) {
                register_free(p->copies[i].reg);
                rollout_marks_deinit(&p->copies[i].marks);
        }
        register_free(p->reg);
        free(p->text);
}

static void test_plays(void **state) {
        unsigned ends[REGISTER_COMPLETE + 1] = {}, lost = 0, writes = 0;
        uint64_t plays = PLAYS;

        (void) state;
        if (getenv("MUSTER_PLAYS"))
                assert_int_equal(parse_u64(getenv("MUSTER_PLAYS"), &plays), 0);
        for (unsigned seed = 0; seed < plays; seed++) {
                Play play;

                begin(&play, seed);
                for (unsigned i = 0; i < STEPS; i++) {
                        step(&play);
                        check(&play);
                }
                come_to_rest(&play);
                check_end(&play);
                ends[play.reg->state]++;
                lost += play.n_lost;
                writes += play.n_writes;
                end(&play);
        }
        print_message("%u writes, %u lost races; %u complete, %u aborted, %u held\n", writes, lost,
                      ends[REGISTER_COMPLETE], ends[REGISTER_ABORTED], ends[REGISTER_ACTIVE]);
        assert_true(lost > PLAYS && ends[REGISTER_COMPLETE] > PLAYS / 10 &&
                    ends[REGISTER_ABORTED] > PLAYS / 10);
}

int main(void) {
        const struct CMUnitTest tests[] = { cmocka_unit_test(test_plays) };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
