#include <string.h>

#include "agent/base/clock.h"
#include "agent/rollout_forecast.h"

#define FORECAST_NAME_MAX 16

typedef struct Forecast {
        const RolloutPlan *plan;
        RolloutForecast *result;
        uint64_t now, change;
        Register *reg;
        RolloutMarks marks;
        uint64_t *ready; /* of each instance: when it is healthy; 0: it has not begun */
} Forecast;

static void forecast_deinit(Forecast *f) {
        register_free(f->reg);
        rollout_marks_deinit(&f->marks);
        free(f->ready);
}

/* All are there, and all ask. */
static int gather(Forecast *f, uint64_t fleet) {
        for (uint64_t i = 0; i < fleet; i++) {
                char name[FORECAST_NAME_MAX];

                snprintf(name, sizeof(name), "i-%06ju", (uintmax_t) i);
                if (rollout_marks_add_live(&f->marks, name) < 0 ||
                    rollout_marks_add(&f->marks, name, MARK_UP, 1) < 0)
                        return -ENOMEM;
        }
        rollout_marks_settle(&f->marks);
        return 0;
}

static ForecastStage *stage_of(const Forecast *f) {
        return &f->result->stages[f->reg->stage];
}

static void open_stage(Forecast *f) {
        RolloutForecast *result = f->result;

        result->n_stages = f->reg->stage + 1;
        *stage_of(f) = (ForecastStage){
                .instances = MIN(register_allowed(f->reg, f->plan), result->fleet),
                .entry = rollout_plan_entry(f->plan, f->reg->stage),
                .opens = f->now,
        };
}

static int act(Forecast *f, const RegisterEvent *event, Error *error) {
        const AlarmsSight quiet = { .state = REGISTER_ALARMS_QUIET };
        const RegisterSight sight = { .plan = f->plan, .marks = &f->marks, .alarms = &quiet, .now = f->now };
        uint64_t stage = f->reg->stage;
        RegisterState state = f->reg->state;
        int r;

        r = register_step(f->reg, event, &sight, error);
        if (r <= 0)
                return r;
        if (register_sign(f->reg, "forecast", "forecast", f->now) < 0)
                return error_oom(error);
        if (f->reg->full > 0 && stage_of(f)->healthy == 0 && f->reg->stage == stage)
                stage_of(f)->healthy = f->now;
        if (f->reg->stage != stage || (state == REGISTER_ACTIVE && f->reg->state == REGISTER_COMPLETE)) {
                f->result->stages[stage].ends = f->now;
                if (f->result->stages[stage].healthy == 0)
                        f->result->stages[stage].healthy = f->now;
        }
        if (f->reg->stage != stage)
                open_stage(f);
        return r;
}

/* Who has got a place begins; who is ready says so. Whether somebody has. */
static bool change_instances(Forecast *f) {
        bool said = false;

        for (size_t i = 0; i < f->reg->places.n; i++) {
                const InstanceMarks *marks = rollout_marks_find(&f->marks, f->reg->places.items[i].instance);
                size_t k = (size_t) (marks - f->marks.items);

                if (f->ready[k] == 0)
                        f->ready[k] = usec_add(f->now, f->change);
                if (f->ready[k] <= f->now && !(marks->kinds & (1U << MARK_GOOD))) {
                        f->marks.items[k].kinds |= 1U << MARK_GOOD;
                        said = true;
                }
        }
        stage_of(f)->most_changing = MAX(stage_of(f)->most_changing, (uint64_t) f->reg->places.n);
        return said;
}

/* All that happens at this time. */
static int settle(Forecast *f, Error *error) {
        const RegisterEvent take_in = { .kind = REGISTER_TAKE_IN };
        bool said;
        int r;

        do {
                r = act(f, &take_in, error);
                said = change_instances(f);
        } while (r >= 0 && (said || (r > 0 && f->reg->state == REGISTER_ACTIVE && f->reg->places.n == 0)));
        return r;
}

static uint64_t next_ready(const Forecast *f) {
        uint64_t next = USEC_INFINITY;

        for (size_t i = 0; i < f->reg->places.n; i++) {
                const InstanceMarks *marks = rollout_marks_find(&f->marks, f->reg->places.items[i].instance);

                next = MIN(next, f->ready[marks - f->marks.items]);
        }
        return next;
}

static uint64_t next_time(const Forecast *f) {
        const TargetFreeze *freeze = target_find_freeze(f->plan->target, f->now);
        uint64_t next = MIN(register_due(f->reg, f->plan), next_ready(f)),
                 entry = rollout_plan_entry(f->plan, f->reg->stage);

        if (freeze)
                next = MIN(next, freeze->until);
        if (entry > f->now)
                next = MIN(next, entry);
        return MAX(next, f->now + USEC_PER_SEC);
}

static bool waits_for_promotion(const Forecast *f) {
        return f->reg->state == REGISTER_ACTIVE && f->plan->staged && !f->reg->promoted &&
               f->plan->target->rollout.promote == TARGET_PROMOTE_MANUAL && f->reg->full > 0 &&
               f->reg->stage + 1 < f->plan->n_stages;
}

static int promote(Forecast *f, Error *error) {
        const RegisterEvent event = { .kind = REGISTER_PROMOTE, .by = "forecast", .stage = f->reg->stage };

        stage_of(f)->promoted = true;
        return act(f, &event, error);
}

static int play(Forecast *f, Error *error) {
        uint64_t until = usec_add(f->now, FORECAST_SPAN_MAX);
        int r;

        for (;;) {
                r = settle(f, error);
                if (r >= 0 && waits_for_promotion(f))
                        r = promote(f, error);
                if (r < 0 || f->reg->state != REGISTER_ACTIVE || f->now >= until)
                        return r;
                f->now = next_time(f);
        }
}

/* What is out of service at once: those that change, and those that have failed on the way and hold up nobody. */
static uint64_t count_serving(const RolloutPlan *plan, uint64_t fleet, uint64_t parallel) {
        uint64_t failed = plan->staged ? plan->max_failures : 0;

        if (parallel >= fleet || failed >= fleet - parallel)
                return 0;
        return fleet - parallel - failed;
}

int rollout_forecast(const RolloutPlan *plan, uint64_t fleet, uint64_t change, uint64_t now,
                     RolloutForecast *ret, Error *error) {
        _cleanup_(forecast_deinit) Forecast f = { .plan = plan, .result = ret, .change = change };
        int r;

        if (fleet == 0 || fleet > FORECAST_FLEET_MAX)
                return error_set_fault(error, -EINVAL, FAULT_INPUT, "a fleet of %ju, expected 1 to %u",
                                       (uintmax_t) fleet, FORECAST_FLEET_MAX);
        f.now = MAX(now, plan->target->rollout.not_before) / USEC_PER_SEC * USEC_PER_SEC;
        f.change = usec_add(change, plan->target->rollout.min_healthy_time);
        *ret = (RolloutForecast){ .fleet = fleet, .begins = f.now };
        ret->parallel = MIN(rollout_plan_parallel(plan, fleet, REGISTER_PLACES_MAX), fleet);
        ret->serving = count_serving(plan, fleet, ret->parallel);
        f.ready = calloc(fleet, sizeof(*f.ready));
        if (!f.ready || gather(&f, fleet) < 0)
                return error_oom(error);
        r = register_open(plan, fleet, f.now, &f.reg, error);
        if (r < 0)
                return r;
        open_stage(&f);
        r = play(&f, error);
        if (r < 0)
                return r;
        if (f.reg->state == REGISTER_COMPLETE)
                ret->ends = f.now;
        else
                register_describe(f.reg, plan, f.now, ret->problem);
        return 0;
}
