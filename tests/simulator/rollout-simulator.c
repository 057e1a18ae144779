/* rollout-simulator [--seeds N] [--first-seed N] FLEET…: rollouts of whole fleets on one processor. The register, the plan, the
 * marks, the roles and the pace are musterd's own; S3 is simulated, with latency, lost answers and writes that meet, and so are
 * instances, some of which die. Time is simulated as well. Prints for each fleet how long a rollout takes (the median of all
 * seeds, and the worst), how much of that is coordination, and what it costs; fails if ever more instances changed or ran the
 * candidate than may, or if it did not end. */

#include <getopt.h>
#include <inttypes.h>
#include <string.h>

#include "agent/base/clock.h"
#include "agent/base/parse.h"
#include "agent/register_store.h"
#include "agent/rollout_role.h"

#define MINUTE (60 * USEC_PER_SEC)
#define START (UINT64_C(1795255200) * USEC_PER_SEC)
#define DIGEST "3939fb7807f8cb1aa2bb54f87b61fee0b36f2987a676a6db647110add167c9ba"
#define GIVEN_UP (START + 24 * 60 * MINUTE)
#define SILENCE (3 * MINUTE)
#define KEYS_A_PAGE 1000U
#define ANSWER_TIMEOUT (5 * USEC_PER_SEC)

/* What S3 takes in us-east-1, in dollars for a thousand requests; and how long, from and to. */
#define PRICE_GET 0.0004
#define PRICE_PUT 0.005
#define GET_MIN (10 * USEC_PER_MSEC)
#define GET_MAX (60 * USEC_PER_MSEC)
#define PUT_MIN (30 * USEC_PER_MSEC)
#define PUT_MAX (120 * USEC_PER_MSEC)
#define LIST_MIN (40 * USEC_PER_MSEC)
#define LIST_MAX (150 * USEC_PER_MSEC)
#define DEPLOY_MIN (30 * USEC_PER_SEC)
#define DEPLOY_MAX (90 * USEC_PER_SEC)
#define PROGRESS_DEADLINE (5 * MINUTE) /* as somebody chooses it whose deployments take so long */

/* Of a million. */
#define LOST_ANSWERS 1000U
#define DEATHS 2000U

/* What is aimed at; of a small fleet, which looks more often, the requests do not matter. */
#define ADDED_MAX 10 /* minutes */
#define REQUESTS_MAX 60
#define LARGE 10000

typedef enum What {
        LOOK,   /* the register has been read */
        CHANGE, /* the deployment has ended */
        LISTED, /* all that there is to list has been listed */
        WRITE,  /* a write has arrived */
        DIE,
        GONE, /* its report is too old */
} What;

typedef struct Instance {
        char name[16];
        RolloutStanding at;
        bool dead, gone;
        uint64_t said;  /* when it said what has not been heard */
        uint64_t takes; /* so long */
        unsigned losses;
        Register *next; /* what it writes ... */
        uint64_t etag;  /* ... over that */
} Instance;

typedef struct Happening {
        uint64_t at;
        uint64_t order; /* those of one time in the order of their making */
        What what;
        unsigned who;
} Happening;

typedef struct Simulation {
        uint64_t random;
        TargetStage stages[3];
        Target target;
        RolloutPlan plan;
        unsigned n;
        Instance *instances;
        Happening *heap;
        size_t n_heap, allocated;
        uint64_t order, now;
        Register *reg;
        uint64_t etag;
        int *places; /* of each instance: its place's index, or -1 */
        uint64_t gets, puts, lists, writes, conflicts;
        uint64_t running, changing, most_running, most_changing;
        unsigned n_said;    /* marks that there are */
        uint64_t last_gone; /* when the last one was given up */
        /* for so long only places of the dead were waited for, or had baked what begins anew for one */
        uint64_t for_dead;
        bool broken;
} Simulation;

/* splitmix64 (Steele, Lea and Flood, 2014) */
static uint64_t chance(Simulation *s) {
        uint64_t z = (s->random += UINT64_C(0x9e3779b97f4a7c15));

        z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
        z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
        return z ^ (z >> 31);
}

static uint64_t between(Simulation *s, uint64_t from, uint64_t to) {
        return from + chance(s) % (to - from + 1);
}

static bool happens(Simulation *s, unsigned of_a_million) {
        return chance(s) % 1000000 < of_a_million;
}

static void *need(void *memory) {
        if (!memory) {
                fprintf(stderr, "no memory\n");
                exit(1);
        }
        return memory;
}

/* The heap of what will happen */

static bool is_before(const Happening *a, const Happening *b) {
        return a->at != b->at ? a->at < b->at : a->order < b->order;
}

static void plan_at(Simulation *s, uint64_t at, What what, unsigned who) {
        Happening new = { .at = at, .order = s->order++, .what = what, .who = who };
        size_t i = s->n_heap++;

        if (s->n_heap > s->allocated) {
                s->allocated = MAX(2 * s->allocated, (size_t) 1024);
                s->heap = need(reallocarray(s->heap, s->allocated, sizeof(*s->heap)));
        }
        for (; i > 0 && is_before(&new, s->heap + (i - 1) / 2); i = (i - 1) / 2)
                s->heap[i] = s->heap[(i - 1) / 2];
        s->heap[i] = new;
}

static Happening take_next(Simulation *s) {
        Happening first = s->heap[0], last = s->heap[--s->n_heap];
        size_t i = 0;

        for (;;) {
                size_t child = 2 * i + 1;

                if (child >= s->n_heap)
                        break;
                if (child + 1 < s->n_heap && is_before(s->heap + child + 1, s->heap + child))
                        child++;
                if (!is_before(s->heap + child, &last))
                        break;
                s->heap[i] = s->heap[child];
                i = child;
        }
        s->heap[i] = last;
        return first;
}

/* What must hold */

static void count(Simulation *s) {
        uint64_t allowed = register_allowed(s->reg, &s->plan),
                 parallel = rollout_plan_parallel(&s->plan, s->reg->fleet, REGISTER_PLACES_MAX);

        s->most_running = MAX(s->most_running, s->running);
        s->most_changing = MAX(s->most_changing, s->changing);
        if (!s->broken && (s->running > allowed || s->changing > parallel)) {
                fprintf(stderr, "%" PRIu64 " run the candidate, %" PRIu64 " change\n", s->running,
                        s->changing);
                s->broken = true;
        }
}

/* Instances */

static void look_in(Simulation *s, unsigned who, uint64_t usec) {
        plan_at(s, s->now + usec + between(s, GET_MIN, GET_MAX), LOOK, who);
}

static Role role_of(const Simulation *s, unsigned who) {
        const Instance *instance = s->instances + who;
        int place = s->places[who];
        RoleFacts facts = {
                .reg = s->reg,
                .plan = &s->plan,
                .place = place >= 0 ? s->reg->places.items + place : NULL,
                .instance = instance->name,
                .standing = instance->at,
                .attempt = 1,
                .said = instance->said,
                .now = s->now,
        };
        Role role;

        rollout_role(&facts, &role);
        return role;
}

static void look_again(Simulation *s, unsigned who) {
        Role role = role_of(s, who);
        uint64_t at = s->now + rollout_pace_look(role.part, s->reg->fleet, chance(s)),
                 due = rollout_pace_due(register_due(s->reg, &s->plan), s->reg->fleet, chance(s));

        if (due > s->now)
                at = MIN(at, due);
        look_in(s, who, MIN(at, role.look_by) - s->now);
}

static void say(Simulation *s, Instance *instance, RolloutStanding at) {
        s->puts++;
        s->n_said++;
        instance->at = at;
        instance->said = s->now;
}

static void begin_write(Simulation *s, unsigned who) {
        uint64_t pages = 1 + s->n_said / KEYS_A_PAGE + 1 + s->n / KEYS_A_PAGE, takes = 0;

        s->lists += pages;
        for (uint64_t i = 0; i < pages; i++)
                takes += between(s, LIST_MIN, LIST_MAX);
        s->instances[who].etag = s->etag;
        plan_at(s, s->now + takes, LISTED, who);
}

static void take_step(Simulation *s, unsigned who, RoleStep step) {
        Instance *instance = s->instances + who;

        if (step == ROLE_ASK_UP)
                say(s, instance, STANDING_ASKED);
        else if (step == ROLE_GO_UP) {
                instance->at = STANDING_CHANGING;
                s->running++;
                s->changing++;
                count(s);
                plan_at(s, s->now + instance->takes, CHANGE, who);
        } else if (step == ROLE_SETTLE)
                instance->at = STANDING_MEMBER;
}

static void on_look(Simulation *s, unsigned who) {
        Role role;

        s->gets++;
        take_step(s, who, role_of(s, who).step);
        role = role_of(s, who);
        if (role.writes &&
            rollout_pace_writes(role.crowd, s->n, rollout_pace_look(role.part, s->reg->fleet, 0), role.age,
                                chance(s)))
                begin_write(s, who);
        else
                look_again(s, who);
}

static void see_marks(const Simulation *s, RolloutMarks *ret) {
        for (unsigned i = 0; i < s->n; i++) {
                const Instance *instance = s->instances + i;

                if ((!instance->gone && rollout_marks_add_live(ret, instance->name) < 0) ||
                    (instance->at >= STANDING_ASKED &&
                     rollout_marks_add(ret, instance->name, MARK_UP, 1) < 0) ||
                    (instance->at >= STANDING_COMMITTED &&
                     rollout_marks_add(ret, instance->name, MARK_GOOD, 1) < 0))
                        need(NULL);
        }
        rollout_marks_settle(ret);
}

/* The register is written as text, as it is in a depot. */
static Register *copy_register(const Register *reg) {
        _cleanup_free_ char *text = NULL;
        Register *copy = NULL;
        size_t size;
        Error error = {};

        if (register_to_json(reg, &text, &size, &error) < 0 ||
            register_parse(text, size, &copy, &error) < 0) {
                fprintf(stderr, "%s\n", error.message);
                exit(1);
        }
        return copy;
}

static void on_listed(Simulation *s, unsigned who) {
        _cleanup_rollout_marks_ RolloutMarks marks = {};
        Instance *instance = s->instances + who;
        RegisterEvent event = { .kind = REGISTER_TAKE_IN };
        RegisterSight sight = { .plan = &s->plan, .marks = &marks, .now = s->now };

        if (instance->etag != s->etag) {
                s->puts++; /* it is written all the same, and refused */
                s->conflicts++;
                look_in(s, who, between(s, 0, register_backoff(instance->losses++, s->n)));
                return;
        }
        see_marks(s, &marks);
        instance->next = copy_register(s->reg);
        if (register_step(instance->next, &event, &sight, NULL) > 0) {
                plan_at(s, s->now + between(s, PUT_MIN, PUT_MAX), WRITE, who);
                return;
        }
        instance->next = register_free(instance->next);
        look_again(s, who);
}

static void index_places(Simulation *s) {
        for (unsigned i = 0; i < s->n; i++)
                s->places[i] = -1;
        for (size_t i = 0; i < s->reg->places.n; i++)
                s->places[atoi(s->reg->places.items[i].instance + 2)] = (int) i;
}

/* Nobody changes but who has died, and nothing bakes. */
static bool waits_for_the_dead(const Simulation *s) {
        for (size_t i = 0; i < s->reg->places.n; i++)
                if (!s->instances[atoi(s->reg->places.items[i].instance + 2)].dead)
                        return false;
        return s->reg->places.n > 0 && s->reg->full == 0;
}

static void count_time_for_the_dead(Simulation *s, const Register *next) {
        if (waits_for_the_dead(s))
                s->for_dead += s->now - s->reg->written;
        if (s->reg->full > 0 && next->full == 0 && next->stage == s->reg->stage &&
            s->last_gone > s->reg->full)
                s->for_dead += s->last_gone - s->reg->full;
}

static void on_write(Simulation *s, unsigned who) {
        Instance *instance = s->instances + who;
        Register *next = TAKE_PTR(instance->next);
        bool lost = happens(s, LOST_ANSWERS), arrives = !lost || happens(s, 500000);

        s->puts++;
        if (arrives && instance->etag == s->etag) {
                count_time_for_the_dead(s, next);
                (void) register_sign(next, "0123456789abcdef", instance->name, s->now);
                register_free(s->reg);
                s->reg = TAKE_PTR(next);
                s->etag++;
                s->writes++;
                instance->losses = 0;
                index_places(s);
                count(s);
                if (lost)
                        look_in(s, who, ANSWER_TIMEOUT);
                else
                        look_again(s, who);
                return;
        }
        register_free(next);
        s->conflicts += arrives;
        look_in(s, who, lost ? ANSWER_TIMEOUT : between(s, 0, register_backoff(instance->losses++, s->n)));
}

static void on_change(Simulation *s, unsigned who) {
        s->changing--;
        say(s, s->instances + who, STANDING_COMMITTED);
}

static void on_gone(Simulation *s, unsigned who) {
        Instance *instance = s->instances + who;

        instance->gone = true;
        s->last_gone = s->now;
        s->running -= instance->at >= STANDING_CHANGING;
        s->changing -= instance->at == STANDING_CHANGING;
}

static void happen(Simulation *s, const Happening *h) {
        Instance *instance = s->instances + h->who;

        s->now = h->at;
        if (h->what == GONE)
                on_gone(s, h->who);
        else if (h->what == DIE) {
                instance->dead = true;
                plan_at(s, s->now + SILENCE, GONE, h->who);
        } else if (instance->dead)
                return;
        else if (h->what == LOOK)
                on_look(s, h->who);
        else if (h->what == CHANGE)
                on_change(s, h->who);
        else if (h->what == LISTED)
                on_listed(s, h->who);
        else
                on_write(s, h->who);
}

/* One rollout: a canary, a quarter, all; a quarter changes at once. */
static void begin(Simulation *s, unsigned n, uint64_t seed) {
        *s = (Simulation){ .random = seed, .n = n, .now = START };
        s->stages[0] = (TargetStage){ .share = { .count = 1 }, .bake = 10 * MINUTE };
        s->stages[1] = (TargetStage){ .share = { .percent = 25 }, .bake = 10 * MINUTE };
        s->stages[2] = (TargetStage){ .share = { .percent = 100 } };
        s->target = (Target){
                .serial = 1,
                .candidate = { .version = (char *) "2", .sha256 = DIGEST },
                .rollout = { .id = (char *) "r-1",
                             .not_before = START,
                             .stages = { s->stages, 3 },
                             .max_failures = n / 100 + 1,
                             .progress_deadline = PROGRESS_DEADLINE },
                .max_parallel = { .percent = 25 },
        };
        rollout_plan_make(&s->target, &s->plan);
        s->instances = need(calloc(n, sizeof(*s->instances)));
        s->places = need(calloc(n, sizeof(*s->places)));
        need(register_open(&s->plan, n, s->now, &s->reg, NULL) < 0 ? NULL : s->reg);
        (void) register_sign(s->reg, "0123456789abcdef", "ana", s->now);
        index_places(s);
        for (unsigned i = 0; i < n; i++) {
                (void) snprintf(s->instances[i].name, sizeof(s->instances[i].name), "i-%05u", i);
                s->instances[i].takes = between(s, DEPLOY_MIN, DEPLOY_MAX);
                look_in(s, i, rollout_pace_look(ROLLOUT_LOOKS_ON, n, 0) * (chance(s) % 1000) / 1000);
                if (n > 1 && happens(s, DEATHS))
                        plan_at(s, START + between(s, 0, 20 * MINUTE), DIE, i);
        }
}

/* How long it would take if everybody knew everything at once: the bakes, and each stage's deployments one after the other. */
static uint64_t without_coordination(const Simulation *s) {
        uint64_t total = 0, parallel = rollout_plan_parallel(&s->plan, s->n, REGISTER_PLACES_MAX), done = 0;
        _cleanup_free_ uint64_t *slots = need(calloc(parallel, sizeof(*slots)));

        for (uint64_t stage = 0; stage < s->plan.n_stages; stage++) {
                uint64_t until = MIN(rollout_plan_allowed(&s->plan, stage, s->n), (uint64_t) s->n), end = 0;

                memset(slots, 0, parallel * sizeof(*slots));
                for (; done < until; done++) {
                        uint64_t first = 0;

                        for (uint64_t i = 1; i < parallel && slots[first] > 0; i++)
                                if (slots[i] < slots[first])
                                        first = i;
                        slots[first] += s->instances[done].takes;
                        end = MAX(end, slots[first]);
                }
                total += end + s->plan.stages[stage].bake;
        }
        return total;
}

static void clear(Simulation *s) {
        for (unsigned i = 0; i < s->n; i++)
                register_free(s->instances[i].next);
        free(s->instances);
        free(s->places);
        free(s->heap);
        register_free(s->reg);
}

typedef enum Column {
        TOOK, /* minutes */
        DEAD, /* of them for places of instances that died, until their deadlines, and for bakes that began anew for them */
        ADDED, /* by coordination */
        REQUESTS,
        CONFLICTS, /* races lost for each write */
        DOLLARS,
        COLUMNS,
} Column;

typedef struct Result {
        double columns[COLUMNS];
        bool good;
} Result;

static Result simulate(unsigned n, uint64_t seed) {
        Simulation s;
        Result result;

        begin(&s, n, seed);
        while (s.n_heap > 0 && s.reg->state == REGISTER_ACTIVE && s.now < GIVEN_UP) {
                Happening next = take_next(&s);

                happen(&s, &next);
        }
        result = (Result){
                .columns = {
                        [TOOK] = (double) (s.now - START) / MINUTE,
                        [DEAD] = (double) s.for_dead / MINUTE,
                        [ADDED] = ((double) (s.now - START) - (double) without_coordination(&s) -
                                   (double) s.for_dead) / MINUTE,
                        [REQUESTS] = (double) (s.gets + s.puts + s.lists) / n,
                        [CONFLICTS] = (double) s.conflicts / (double) MAX(s.writes, UINT64_C(1)),
                        [DOLLARS] = ((double) s.gets * PRICE_GET + (double) (s.puts + s.lists) * PRICE_PUT) / 1000,
                },
                .good = !s.broken && s.reg->state == REGISTER_COMPLETE,
        };
        if (!result.good)
                fprintf(stderr, "fleet %u, seed %" PRIu64 ": %s in stage %" PRIu64 "\n", n, seed,
                        register_state_to_string(s.reg->state), s.reg->stage + 1);
        clear(&s);
        return result;
}

static int compare(const void *a, const void *b) {
        const double *x = a, *y = b;

        return (*x > *y) - (*x < *y);
}

static double median(const Result *results, uint64_t n, Column column, double *ret_worst) {
        _cleanup_free_ double *values = need(calloc(n, sizeof(*values)));

        for (uint64_t i = 0; i < n; i++)
                values[i] = results[i].columns[column];
        qsort(values, n, sizeof(*values), compare);
        *ret_worst = values[n - 1];
        return values[n / 2];
}

static bool run(unsigned n, uint64_t first, uint64_t n_seeds) {
        _cleanup_free_ Result *results = need(calloc(n_seeds, sizeof(*results)));
        double middle[COLUMNS], worst[COLUMNS];
        bool good = true;

        for (uint64_t i = 0; i < n_seeds; i++) {
                results[i] = simulate(n, first + i);
                good = good && results[i].good;
        }
        for (Column column = 0; column < COLUMNS; column++)
                middle[column] = median(results, n_seeds, column, worst + column);
        printf("%8u %10.1f %10.1f %10.1f %10.1f %14.1f %12.2f %10.4f\n", n, middle[TOOK], worst[TOOK],
               middle[DEAD], middle[ADDED], middle[REQUESTS], middle[CONFLICTS], middle[DOLLARS]);
        (void) fflush(stdout);
        return good && middle[ADDED] < ADDED_MAX && (n < LARGE || middle[REQUESTS] < REQUESTS_MAX);
}

int main(int argc, char **argv) {
        static const struct option options[] = { { "seeds", required_argument, NULL, 's' },
                                                 { "first-seed", required_argument, NULL, 'f' },
                                                 {} };
        uint64_t n_seeds = 1, first = 1, n;
        bool good = true;
        int c;

        while ((c = getopt_long(argc, argv, "", options, NULL)) >= 0)
                if ((c != 's' && c != 'f') || parse_u64(optarg, c == 's' ? &n_seeds : &first) < 0 ||
                    n_seeds < 1)
                        return 2;
        printf("%8s %10s %10s %10s %10s %14s %12s %10s\n", "fleet", "minutes", "worst", "for dead", "added",
               "requests each", "lost/write", "dollars");
        for (char **arg = argv + optind; *arg; arg++) {
                if (parse_u64(*arg, &n) < 0 || n < 1 || n > 100000)
                        return 2;
                good = run((unsigned) n, first, n_seeds) && good;
        }
        printf("%s\n", good ? "1 passed, 0 failed" : "0 passed, 1 failed");
        return good ? 0 : 1;
}
