#include <string.h>

#include "agent/base/parse.h"
#include "agent/base/strv.h"
#include "agent/cli/progress.h"
#include "agent/cli/rollout_page.h"
#include "agent/cli/table.h"
#include "agent/cli/view.h"

#define BAR_WIDTH 20U

static const char *text_of(const json_t *object, const char *name) {
        const char *text = json_string_value(json_object_get(object, name));

        return text && *text ? text : NULL;
}

static long long number_of(const json_t *object, const char *name) {
        return (long long) json_integer_value(json_object_get(object, name));
}

static bool is_state(const json_t *object, const char *state) {
        return string_equal(text_of(object, "state"), state);
}

static const char *style_of(const json_t *picture, const Style *style) {
        if (is_state(picture, "complete"))
                return style->good;
        if (is_state(picture, "active") || is_state(picture, "none"))
                return "";
        return style->bad;
}

static void age_of(const json_t *object, const char *name, uint64_t now, char ret[static VIEW_AGE_MAX]) {
        const char *text = text_of(object, name);
        uint64_t then;

        if (text && parse_time(text, &then) >= 0)
                view_age(then, now, ret);
        else
                snprintf(ret, VIEW_AGE_MAX, "-");
}

/* The head */

static void print_rules(const json_t *picture, FILE *stream) {
        const char *parallel = text_of(picture, "max_parallel");
        const json_t *failures = json_object_get(picture, "max_failures");

        fprintf(stream, "rules      %s at once", parallel ?: "all");
        if (json_is_integer(failures))
                fprintf(stream, ", %lld of them may fail, promote %s",
                        (long long) json_integer_value(failures), text_of(picture, "promote") ?: "-");
        fputc('\n', stream);
}

/* Nobody who looks may miss what is left to do. */
static void print_unfinished(const json_t *picture, FILE *stream, const Style *style) {
        if (is_state(picture, "complete") && json_is_true(json_object_get(picture, "staged")))
                fprintf(stream,
                        "next       %smuster rollout finish %s %s%s: until then %s is the stable release\n",
                        style->strong, text_of(picture, "app") ?: "-", text_of(picture, "group") ?: "-",
                        style->off, text_of(picture, "stable") ?: "-");
}

/* What a sentence says after the name of the state, which it may begin with. */
static const char *rest_of_sentence(const json_t *picture) {
        const char *state = text_of(picture, "state") ?: "-", *sentence = text_of(picture, "sentence") ?: "-";

        return string_starts_with(sentence, state) ? sentence + strlen(state) : sentence;
}

static const char *separator(const json_t *picture) {
        return rest_of_sentence(picture) == text_of(picture, "sentence") ? ", " : "";
}

static void print_state(const json_t *picture, FILE *stream, const Style *style) {
        fprintf(stream, "state      %s%s%s%s%s\n", style_of(picture, style), text_of(picture, "state") ?: "-",
                style->off, separator(picture), rest_of_sentence(picture));
}

static void print_head(const json_t *picture, FILE *stream, const Style *style) {
        const char *app = text_of(picture, "app") ?: "-", *group = text_of(picture, "group") ?: "-";

        fprintf(stream, "%s%s in %s%s, serial %lld: ", style->strong, app, group, style->off,
                number_of(picture, "serial"));
        if (is_state(picture, "none")) {
                fprintf(stream, "%s\n", text_of(picture, "sentence") ?: "-");
                return;
        }
        if (json_is_true(json_object_get(picture, "staged")))
                fprintf(stream, "rollout %s from %s to %s\n", text_of(picture, "rollout") ?: "-",
                        text_of(picture, "stable") ?: "-", text_of(picture, "version") ?: "-");
        else
                fprintf(stream, "change %s to %s\n", text_of(picture, "rollout") ?: "-",
                        text_of(picture, "version") ?: "-");
        print_state(picture, stream, style);
        print_unfinished(picture, stream, style);
        print_rules(picture, stream);
}

/* Stages */

static void print_stage(size_t number, const json_t *stage, FILE *stream, const Style *style) {
        long long need = number_of(stage, "need"), members = number_of(stage, "members");
        const char *state = text_of(stage, "state") ?: "-", *bake = text_of(stage, "bake");
        bool done = strcmp(state, "done") == 0, is_open = strcmp(state, "open") == 0;
        char bar[BAR_WIDTH + 1];

        progress_bar(done ? 100 : need > 0 ? (unsigned) (members * 100 / need) : 0, BAR_WIDTH, bar);
        if (!done && members == 0)
                bar[0] = is_open ? '>' : ' ';
        fprintf(stream, "stage %-4zu %-8s [%s%s%s]  %s", number, text_of(stage, "share") ?: "-",
                done ? style->good : "", bar, done ? style->off : "", state);
        if (is_open)
                fprintf(stream, ", %lld of %lld healthy", members, need);
        if (bake && !done)
                fprintf(stream, ", bakes for %s", bake);
        fputc('\n', stream);
}

static void print_stages(const json_t *picture, FILE *stream, const Style *style) {
        const json_t *stages = json_object_get(picture, "stages"), *stage;
        size_t i;

        json_array_foreach((json_t *) stages, i, stage)
                print_stage(i + 1, stage, stream, style);
}

/* Failures */

static void print_failure(const json_t *failure, uint64_t now, FILE *stream, const Style *style) {
        const json_t *line;
        char age[VIEW_AGE_MAX];
        size_t i;

        age_of(failure, "at", now, age);
        fprintf(stream, "%s: %s%s failed%s at %s%s%s: %s\n", text_of(failure, "instance") ?: "-", style->bad,
                text_of(failure, "version") ?: "-", style->off,
                text_of(failure, "step") ?: "a step it did not name", text_of(failure, "at") ? ", " : "",
                text_of(failure, "at") ? age : "", text_of(failure, "reason") ?: "no reason is known yet");
        json_array_foreach((json_t *) json_object_get(failure, "output"), i, line)
                fprintf(stream, "    %s| %s%s\n", style->faint, json_string_value(line) ?: "", style->off);
}

void rollout_page_failures(const json_t *picture, uint64_t now, FILE *stream, const Style *style) {
        const json_t *failures = json_object_get(picture, "failed"), *failure;
        size_t i;

        json_array_foreach((json_t *) failures, i, failure)
                print_failure(failure, now, stream, style);
}

/* Instances */

static int add_row(Table *table, const json_t *row, uint64_t now) {
        char age[VIEW_AGE_MAX];

        age_of(row, "since", now, age);
        return table_add(table, TABLE_ROW(text_of(row, "instance"), text_of(row, "version"),
                                          text_of(row, "state"), age, text_of(row, "why") ?: ""));
}

static int print_rows(const json_t *picture, uint64_t now, FILE *stream, const Style *style) {
        const json_t *rows = json_object_get(picture, "instances"), *row;
        _cleanup_table_ Table table = { .n_columns = 5 };
        size_t i;
        int r;

        if (json_array_size(rows) == 0)
                return 0;
        r = table_add(&table, TABLE_ROW("INSTANCE", "VERSION", "STATE", "SINCE", "WHY"));
        json_array_foreach((json_t *) rows, i, row)
                if (r >= 0)
                        r = add_row(&table, row, now);
        if (r < 0)
                return r;
        fputc('\n', stream);
        table_print(&table, stream, style);
        return 0;
}

int rollout_page_print(const json_t *picture, uint64_t now, FILE *stream, const Style *style) {
        print_head(picture, stream, style);
        print_stages(picture, stream, style);
        if (json_array_size(json_object_get(picture, "failed")) > 0)
                fputc('\n', stream);
        rollout_page_failures(picture, now, stream, style);
        return print_rows(picture, now, stream, style);
}

/* News */

/* {name: row}; NULL: no memory. */
static json_t *index_rows(const json_t *picture) {
        json_auto_t *index = json_object();
        json_t *row;
        size_t i;

        json_array_foreach(json_object_get(picture, "instances"), i, row)
                if (json_object_set(index, text_of(row, "name") ?: "-", row) < 0)
                        return NULL;
        return TAKE_PTR(index);
}

/* What an instance that has yet to take part does is no news. */
static bool is_news(const json_t *before, const json_t *row) {
        if (before)
                return !string_equal(text_of(before, "state"), text_of(row, "state")) ||
                       json_is_true(json_object_get(before, "late")) !=
                               json_is_true(json_object_get(row, "late"));
        return !is_state(row, "waiting") && !is_state(row, "gone");
}

static void print_news_row(const char *at, const json_t *row, FILE *stream) {
        const char *why = text_of(row, "why"), *version = text_of(row, "version");

        fprintf(stream, "%s %s: %s%s%s%s%s\n", at, text_of(row, "instance") ?: "-",
                text_of(row, "state") ?: "-", version ? ", runs " : "", version ?: "", why ? "; " : "",
                why ?: "");
}

void rollout_page_news(const json_t *old, const json_t *picture, uint64_t now, FILE *stream) {
        const char *sentence = text_of(picture, "sentence") ?: "-";
        json_auto_t *before = index_rows(old);
        const json_t *row;
        char at[TIME_TEXT_MAX];
        size_t i;

        format_time(now, at);
        json_array_foreach((json_t *) json_object_get(picture, "instances"), i, row)
                if (is_news(json_object_get(before, text_of(row, "name") ?: "-"), row))
                        print_news_row(at, row, stream);
        if (!string_equal(text_of(old, "sentence"), sentence) || !is_state(old, text_of(picture, "state")))
                fprintf(stream, "%s %s: %s%s%s\n", at, text_of(picture, "rollout") ?: "-",
                        text_of(picture, "state") ?: "-", separator(picture), rest_of_sentence(picture));
}
