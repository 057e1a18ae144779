#include <stdlib.h>
#include <string.h>

#include "agent/base/parse.h"
#include "agent/base/strv.h"
#include "agent/cli/rollout_rows.h"
#include "agent/cli/view.h"
#include "agent/register_view.h"

const char *rollout_row_state_to_string(RowState state) {
        static const char *const names[ROW_STATES] = {
                [ROW_CHANGING] = "changing",
                [ROW_PROVING] = "proving",
                [ROW_FAILED] = "failed",
                [ROW_GOING_BACK] = "going-back",
                [ROW_TO_GO_BACK] = "to-go-back",
                [ROW_IN_LINE] = "in-line",
                [ROW_MEMBER] = "member",
                [ROW_WAITING] = "waiting",
                [ROW_OUT] = "out",
                [ROW_GONE] = "gone",
        };

        return names[state];
}

/* One instance, from all that tells of it. */
typedef struct Row {
        const InstanceMarks *marks;
        const RegisterPlace *place;    /* or NULL */
        const FleetInstance *reported; /* or NULL */
        RowState state;
} Row;

static const char *text_of(const json_t *object, const char *name) {
        const char *text = json_string_value(json_object_get(object, name));

        return text && *text ? text : NULL;
}

/* Its own word on this rollout, or NULL. */
static const json_t *own_word(const Row *row, const RolloutPlan *plan) {
        const json_t *word = row->reported ? row->reported->rollout : NULL;

        return string_equal(text_of(word, "id"), plan->id) ? word : NULL;
}

static RowState find_state(const Row *row, const RolloutPlan *plan) {
        const InstanceMarks *marks = row->marks;

        if (row->place && row->place->move == REGISTER_DOWN)
                return ROW_GOING_BACK;
        if (marks_want_down(marks))
                return ROW_TO_GO_BACK;
        if (marks->failed)
                return ROW_FAILED;
        if (!marks->live)
                return ROW_GONE;
        if (marks_are_healthy(marks))
                return ROW_MEMBER;
        if (row->place)
                return string_equal(text_of(own_word(row, plan), "role"), "proving") ? ROW_PROVING
                                                                                     : ROW_CHANGING;
        if (marks_want_up(marks))
                return ROW_IN_LINE;
        return marks->kinds & (1U << MARK_OUT) ? ROW_OUT : ROW_WAITING;
}

static int compare_reported(const void *a, const void *b) {
        const FleetInstance *const *x = a, *const *y = b;

        return strcmp((*x)->name, (*y)->name);
}

static int compare_rows(const void *a, const void *b) {
        const Row *x = a, *y = b;

        if (x->state != y->state)
                return x->state < y->state ? -1 : 1;
        return strcmp(x->marks->instance, y->marks->instance);
}

static const FleetInstance *find_reported(const FleetInstance *const *sorted, size_t n, const char *name) {
        const FleetInstance wanted = { .name = (char *) name };
        const FleetInstance *key = &wanted;
        const FleetInstance *const *found =
                n > 0 ? bsearch(&key, sorted, n, sizeof(const FleetInstance *), compare_reported) : NULL;

        return found ? *found : NULL;
}

static void fill_rows(const RolloutFacts *facts, const FleetInstance *const *sorted, Row *rows) {
        for (size_t i = 0; i < facts->marks->n; i++) {
                const InstanceMarks *marks = &facts->marks->items[i];

                rows[i] = (Row){
                        .marks = marks,
                        .place = facts->reg ? register_find_place(facts->reg, marks->instance) : NULL,
                        .reported = find_reported(sorted, facts->fleet->n, marks->instance),
                };
                rows[i].state = find_state(&rows[i], facts->plan);
        }
}

/* New memory, NULL: there is none. As many as there are marks. */
static Row *make_rows(const RolloutFacts *facts) {
        _cleanup_free_ const FleetInstance **sorted =
                calloc(facts->fleet->n + 1, sizeof(const FleetInstance *));
        Row *rows = calloc(facts->marks->n + 1, sizeof(*rows));

        if (!sorted || !rows) {
                free(rows);
                return NULL;
        }
        for (size_t i = 0; i < facts->fleet->n; i++)
                sorted[i] = &facts->fleet->items[i];
        qsort(sorted, facts->fleet->n, sizeof(const FleetInstance *), compare_reported);
        fill_rows(facts, sorted, rows);
        qsort(rows, facts->marks->n, sizeof(*rows), compare_rows);
        return rows;
}

/* Rows */

static const char *name_of(const Row *row) {
        const char *id = strrchr(row->marks->instance, ':');

        if (row->reported && row->reported->instance)
                return row->reported->instance;
        return id ? id + 1 : row->marks->instance;
}

/* What failed on it last, if that was this release. */
static const json_t *last_failure(const Row *row, const RolloutPlan *plan) {
        const json_t *failure = row->reported ? row->reported->last_failure : NULL;

        return string_equal(text_of(failure, "version"), plan->to->version) ? failure : NULL;
}

/* Who changes and has not been heard of for so many of its intervals may be gone. That it is nobody knows before it
 * has been silent for FLEET_INTERVALS, nor is its place given to another before its time is over. */
#define WORDLESS_INTERVALS 2U

static bool is_wordless(const Row *row, uint64_t now) {
        return row->place && !row->place->late && row->reported &&
               now > usec_add(row->reported->contact, WORDLESS_INTERVALS * row->reported->interval);
}

static json_t *describe_silence(const Row *row) {
        const FleetInstance *reported = row->reported;
        char since[TIME_TEXT_MAX], until[TIME_TEXT_MAX];

        format_time(reported->contact, since);
        format_time(MAX(usec_add(row->place->until, REGISTER_MARGIN),
                        usec_add(reported->contact, FLEET_INTERVALS * reported->interval)),
                    until);
        return json_sprintf("no word from it since %s; if it is gone, its place is free at %s", since, until);
}

static json_t *why(const Row *row, const RolloutPlan *plan, uint64_t now) {
        const FleetInstance *reported = row->reported;
        const json_t *failure = last_failure(row, plan);

        if (row->state == ROW_FAILED && failure)
                return json_sprintf("%s: %s", text_of(failure, "step") ?: "-",
                                    text_of(failure, "reason") ?: "-");
        if (row->place && row->place->late)
                return json_string("late: its time for this change is over");
        if (is_wordless(row, now))
                return describe_silence(row);
        if (!reported || row->state == ROW_GONE)
                return json_null();
        if (reported->condition == FLEET_UNHEALTHY || row->state <= ROW_TO_GO_BACK)
                return json_sprintf("%s", reported->reason ?: reported->problem ?: "");
        return json_string(text_of(own_word(row, plan), "waits_for") ?: "");
}

static json_t *time_to_json(uint64_t usec) {
        char text[TIME_TEXT_MAX];

        format_time(usec, text);
        return usec > 0 ? json_string(text) : json_null();
}

/* Since when it plays its part, if it says so; else since when it runs what it runs. */
static json_t *since(const Row *row, const RolloutPlan *plan) {
        const char *since = text_of(own_word(row, plan), "since");

        if (since && row->state <= ROW_IN_LINE)
                return json_string(since);
        return time_to_json(row->reported ? row->reported->since : 0);
}

static json_t *row_to_json(const Row *row, const RolloutPlan *plan, uint64_t now) {
        return json_pack("{s:s, s:s, s:s?, s:s, s:o, s:o, s:b, s:o}", "instance", name_of(row), "name",
                         row->marks->instance, "version", row->reported ? row->reported->version : NULL,
                         "state", rollout_row_state_to_string(row->state), "since", since(row, plan), "until",
                         time_to_json(row->place ? row->place->until : 0), "late",
                         row->place && row->place->late, "why", why(row, plan, now));
}

json_t *rollout_rows_make(const RolloutFacts *facts) {
        _cleanup_free_ Row *rows = make_rows(facts);
        json_auto_t *list = json_array();

        if (!rows)
                return NULL;
        for (size_t i = 0; i < facts->marks->n; i++)
                if (json_array_append_new(list, row_to_json(&rows[i], facts->plan, facts->now)) < 0)
                        return NULL;
        return TAKE_PTR(list);
}

/* Failures */

/* What was printed last by the step that failed: the last one that printed anything. */
static const char *find_output(const json_t *document) {
        const json_t *steps = json_object_get(json_object_get(document, "deployment"), "steps"), *step;
        const char *found = NULL;
        size_t i;

        json_array_foreach((json_t *) steps, i, step)
                if (text_of(step, "output_tail"))
                        found = text_of(step, "output_tail");
        return found;
}

static json_t *last_lines(const char *text) {
        json_auto_t *list = json_array();
        _cleanup_strv_ char **lines = NULL;
        size_t n;

        if (!text)
                return TAKE_PTR(list);
        if (strv_split(text, "\n", &lines) < 0)
                return NULL;
        n = strv_length(lines);
        for (size_t i = n - MIN(n, (size_t) ROLLOUT_FAILURE_LINES); i < n; i++)
                if (json_array_append_new(list, json_string(lines[i])) < 0)
                        return NULL;
        return TAKE_PTR(list);
}

static json_t *failure_to_json(const Row *row, const RolloutFacts *facts) {
        const json_t *left = json_object_get(facts->failures, row->marks->instance),
                     *told = left ?: last_failure(row, facts->plan);
        const char *step = text_of(told, "step");

        return json_pack("{s:s, s:s, s:s?, s:s?, s:s?, s:o}", "instance", name_of(row), "version",
                         facts->plan->to->version, "step", step, "reason", text_of(told, "reason"), "at",
                         text_of(told, "at"), "output", last_lines(find_output(left)));
}

json_t *rollout_failures_make(const RolloutFacts *facts) {
        _cleanup_free_ Row *rows = make_rows(facts);
        json_auto_t *list = json_array();

        if (!rows)
                return NULL;
        for (size_t i = 0; i < facts->marks->n; i++)
                if (rows[i].marks->failed && json_array_size(list) < ROLLOUT_FAILURES_SHOWN &&
                    json_array_append_new(list, failure_to_json(&rows[i], facts)) < 0)
                        return NULL;
        return TAKE_PTR(list);
}
