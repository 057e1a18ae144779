#include <inttypes.h>
#include <string.h>

#include "agent/base/buffer.h"
#include "agent/base/parse.h"
#include "agent/base/utf8.h"
#include "agent/record.h"
#include "agent/rollout_view.h"

#define HOLDERS_MAX 3U /* that are named; of more, how many there are */
#define HOLDERS_TEXT_MAX 512U

static const char *state_of(const RolloutViewFacts *facts) {
        static const char *const states[] = { [REGISTER_NOT_READ] = "unknown",
                                              [REGISTER_MISSING] = "missing",
                                              [REGISTER_UNREADABLE] = "unreadable" };

        return facts->reg ? register_state_to_string(facts->reg->state) : states[facts->found];
}

static void add(char *text, size_t size, const char *format, ...) _printf_(3, 4);

static void add(char *text, size_t size, const char *format, ...) {
        size_t length = strlen(text);
        va_list arguments;

        va_start(arguments, format);
        utf8_vformat(text + length, size - length, format, arguments);
        va_end(arguments);
}

/* Who else holds a place: "i-1, i-2 and 3 more", or "". */
static void name_holders(const RolloutViewFacts *facts, char ret[static HOLDERS_TEXT_MAX]) {
        const Register *reg = facts->reg;
        size_t n = 0;

        ret[0] = '\0';
        for (size_t i = 0; reg && i < reg->places.n; i++) {
                const char *holder = reg->places.items[i].instance;

                if (strcmp(holder, facts->instance) == 0 || reg->places.items[i].late)
                        continue;
                if (n++ < HOLDERS_MAX)
                        add(ret, HOLDERS_TEXT_MAX, "%s%s", ret[0] ? ", " : "", holder);
        }
        if (n > HOLDERS_MAX)
                add(ret, HOLDERS_TEXT_MAX, " and %zu more", n - HOLDERS_MAX);
}

/* What the part alone waits for; NULL: nothing. */
static const char *waits_for(const RolloutViewFacts *facts) {
        const RolloutRecord *part = facts->part;
        bool aborted = facts->reg && facts->reg->state == REGISTER_ABORTED;

        if (part->standing == STANDING_OUT)
                return "takes no part: it is pinned or deployed by hand, or not in service";
        if (!facts->reg)
                return facts->found == REGISTER_NOT_READ ? "the register has yet to be read"
                       : facts->found == REGISTER_MISSING
                               ? "there is no register: nobody moves until there is one again"
                               : "the register cannot be read: nobody moves until it can";
        if (rollout_record_is_proving(part, &facts->part_facts))
                return "has to stay healthy for a while before it counts";
        switch (part->standing) {
        case STANDING_BEFORE:
                if (aborted)
                        return NULL;
                return part->failed ? "failed with the release and does not try it again"
                       : rollout_record_asks_at(part, &facts->part_facts) > 0
                               ? "tries again later, after a fault of this instance"
                               : "waits for its turn";
        case STANDING_ASKED:
                return "waits for a place to change";
        case STANDING_UNWANTED:
        case STANDING_ASKED_DOWN:
                return "waits for a place to go back";
        default:
                return NULL;
        }
}

void rollout_view_reason(const RolloutViewFacts *facts, char ret[static ROLLOUT_REASON_MAX]) {
        const char *what = waits_for(facts);

        ret[0] = '\0';
        if (what)
                add(ret, ROLLOUT_REASON_MAX, "rollout %s: %s", facts->part_facts.plan->id, what);
}

void rollout_view_describe(const RolloutViewFacts *facts, char ret[static ROLLOUT_REASON_MAX]) {
        char sentence[REGISTER_SENTENCE_MAX], holders[HOLDERS_TEXT_MAX];

        rollout_view_reason(facts, ret);
        if (!ret[0])
                return;
        if (!facts->reg) {
                if (facts->problem[0] && facts->found == REGISTER_UNREADABLE)
                        add(ret, ROLLOUT_REASON_MAX, ": %s", facts->problem);
                return;
        }
        register_describe(facts->reg, facts->part_facts.plan, facts->now, sentence);
        name_holders(facts, holders);
        add(ret, ROLLOUT_REASON_MAX, " (%s%s%s)", sentence, holders[0] ? "; now change: " : "", holders);
}

static json_t *short_time(uint64_t usec) {
        char text[TIME_TEXT_MAX];

        if (usec == 0)
                return json_null();
        format_time(usec, text);
        return json_string(text);
}

static uint64_t until_of(const RolloutViewFacts *facts) {
        const RegisterPlace *place = facts->reg ? register_find_place(facts->reg, facts->instance) : NULL;

        return place ? place->until : 0;
}

json_t *rollout_view_report(const RolloutViewFacts *facts) {
        const RolloutPlan *plan = facts->part_facts.plan;

        return json_pack("{s:s, s:s, s:s, s:s, s:I, s:s?, s:n, s:o, s:o}", "id", plan->id, "release",
                         plan->to->version, "role", rollout_record_role(facts->part, &facts->part_facts),
                         "state", state_of(facts), "attempt", (json_int_t) facts->part->attempt, "waits_for",
                         waits_for(facts), "holder", "since", short_time(facts->part->said), "until",
                         short_time(until_of(facts)));
}

json_t *rollout_view_status(const RolloutViewFacts *facts) {
        const RolloutPlan *plan = facts->part_facts.plan;
        char sentence[ROLLOUT_REASON_MAX], holders[HOLDERS_TEXT_MAX];
        json_t *status = rollout_view_report(facts);
        uint64_t stage = facts->reg ? facts->reg->stage + 1 : 0;
        json_auto_t *more = NULL;

        rollout_view_describe(facts, sentence);
        name_holders(facts, holders);
        more = json_pack("{s:s?, s:s?, s:o, s:I, s:s}", "waits_for", sentence[0] ? sentence : NULL, "holder",
                         holders[0] ? holders : NULL, "stage",
                         stage > 0 ? json_integer((json_int_t) stage) : json_null(), "stages",
                         (json_int_t) plan->n_stages, "problem", facts->problem);
        if (status && more && json_object_update(status, more) == 0)
                return status;
        json_decref(status);
        return NULL;
}
