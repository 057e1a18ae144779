#include <string.h>

#include "agent/base/parse.h"
#include "agent/base/strv.h"
#include "agent/cli/depot_batch.h"
#include "agent/cli/gc_command.h"
#include "agent/cli/gc_survey.h"
#include "agent/cli/gc_undo.h"
#include "agent/cli/output.h"
#include "agent/cli/progress.h"
#include "agent/cli/shared_options.h"
#include "agent/cli/table.h"
#include "agent/cli/view.h"
#include "artifacts/json.h"

#define AGE "30d"
#define ROUNDS_MAX 5U /* so often what is needed may change while it is looked at */
#define CHUNK                                                                                                \
        256U /* so many releases and artifacts are removed between two looks at what is needed, and ... */
#define CHUNK_OF_OTHERS 20000U /* ... so many others, which nobody comes to need again */

#define DESCRIPTION_MAX (4 * LAYOUT_PART_MAX) /* "api in prod r-1" */

typedef struct GcValues {
        const char *app;
        const char *root;
        OptionNumber older_than;
        bool yes;
        DepotValues depot;
} GcValues;

typedef struct Gc {
        Cli *cli;
        const GcValues *values;
        TrustRoot *root;
        DepotAccess access;
        GcSurvey survey;
        GcPlan plan;
        uint64_t removed, removed_bytes, failed;
        int first_failure;
} Gc;

static void gc_deinit(Gc *gc) {
        gc_plan_deinit(&gc->plan);
        gc_survey_deinit(&gc->survey);
        depot_access_deinit(&gc->access);
        trust_root_free(gc->root);
}

/* Looking */

static int look(Gc *gc, Error *error) {
        GcSurvey *survey = &gc->survey;
        int r;

        gc_plan_deinit(&gc->plan);
        gc_survey_deinit(survey);
        *survey = (GcSurvey){ .access = &gc->access, .root = gc->root, .app = gc->values->app };
        r = gc_survey_look(survey, gc->values->older_than.value, error);
        if (r >= 0 &&
            gc_plan_make(&survey->needs, survey->list.entries, survey->list.n_entries, &gc->plan) < 0)
                r = error_oom(error);
        return r;
}

/* Telling */

static void describe_line(const GcLine *line, char ret[static DESCRIPTION_MAX]) {
        const LayoutKey *key = &line->key;
        bool named = key->kind != LAYOUT_KIND_REPORT && key->kind != LAYOUT_KIND_FAILURE;

        snprintf(ret, DESCRIPTION_MAX, "%s%s%s%s%s", key->app, *key->group ? " in " : "", key->group,
                 named && *key->name ? " " : "", named ? key->name : "");
}

static int print_lines(const Gc *gc, Error *error) {
        _cleanup_table_ Table table = { .n_columns = 6 };
        int r;

        r = table_add(&table, TABLE_ROW("WHAT", "OF", "OBJECTS", "SIZE", "WRITTEN", "WHY"));
        for (size_t i = 0; i < gc->plan.n_lines && r >= 0; i++) {
                const GcLine *line = &gc->plan.lines[i];
                char of[DESCRIPTION_MAX], n[24], size[SIZE_TEXT_MAX], age[VIEW_AGE_MAX];

                describe_line(line, of);
                snprintf(n, sizeof(n), "%ju", (uintmax_t) line->n);
                format_size(line->bytes, size);
                view_age(line->newest, gc->survey.needs.now, age);
                r = table_add(&table,
                              TABLE_ROW(layout_kind_to_string(line->key.kind), of, n, size, age, line->why));
        }
        if (r < 0)
                return error_oom(error);
        table_print(&table, gc->cli->out, &gc->cli->out_style);
        return 0;
}

static json_t *line_to_json(const GcLine *line) {
        char newest[TIME_TEXT_MAX];

        format_time(line->newest, newest);
        return json_pack("{s:s, s:s, s:s*, s:s*, s:I, s:I, s:s, s:s}", "kind",
                         layout_kind_to_string(line->key.kind), "app", line->key.app, "group",
                         *line->key.group ? line->key.group : NULL, "name",
                         *line->key.name && line->key.kind != LAYOUT_KIND_REPORT &&
                                         line->key.kind != LAYOUT_KIND_FAILURE
                                 ? line->key.name
                                 : NULL,
                         "objects", (json_int_t) line->n, "bytes", (json_int_t) line->bytes, "written",
                         newest, "why", line->why);
}

static int tell_json(const Gc *gc, Error *error) {
        _cleanup_json_ json_t *lines = json_array();

        for (size_t i = 0; i < gc->plan.n_lines; i++)
                if (json_array_append_new(lines, line_to_json(&gc->plan.lines[i])) < 0)
                        return error_oom(error);
        return output_json(gc->cli,
                           json_pack("{s:b, s:O, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "dry_run",
                                     !gc->values->yes, "unneeded", lines, "objects", (json_int_t) gc->plan.n,
                                     "bytes", (json_int_t) gc->plan.bytes, "kept",
                                     (json_int_t) gc->plan.n_kept, "foreign", (json_int_t) gc->plan.n_foreign,
                                     "removed", (json_int_t) gc->removed, "removed_bytes",
                                     (json_int_t) gc->removed_bytes, "failed", (json_int_t) gc->failed),
                           error);
}

static int tell(const Gc *gc, Error *error) {
        const GcPlan *plan = &gc->plan;
        uint64_t total = plan->n + plan->n_kept;
        char size[SIZE_TEXT_MAX];
        int r = 0;

        if (gc->cli->json)
                return tell_json(gc, error);
        if (plan->n_lines > 0 && !gc->cli->quiet)
                r = print_lines(gc, error);
        if (r < 0)
                return r;
        format_size(gc->values->yes ? gc->removed_bytes : plan->bytes, size);
        if (plan->n == 0)
                cli_say(gc->cli, "nothing to remove: %ju object%s, each needed or too new",
                        (uintmax_t) plan->n_kept, plan->n_kept == 1 ? "" : "s");
        else if (gc->values->yes)
                cli_say(gc->cli, "%ju object%s removed, %s", (uintmax_t) gc->removed,
                        gc->removed == 1 ? "" : "s", size);
        else
                cli_say(gc->cli, "%zu of %ju object%s, %s, %s needed by nobody; --yes removes %s", plan->n,
                        (uintmax_t) total, total == 1 ? "" : "s", size, plan->n == 1 ? "is" : "are",
                        plan->n == 1 ? "it" : "them");
        return 0;
}

/* Removing. What cannot be removed is said, and the rest goes on. */

typedef struct Chunk {
        Gc *gc;
        const DepotEntry **victims;
} Chunk;

static int start_delete(size_t index, DepotDone done, void *done_userdata, DepotOp **ret, void *userdata,
                        Error *error) {
        const Chunk *chunk = userdata;

        return depot_delete_start(chunk->gc->access.depot, chunk->victims[index]->key, done, done_userdata,
                                  ret, error);
}

static int take_deleted(size_t index, int result, _unused_ DepotReply *reply, const Error *problem,
                        void *userdata, _unused_ Error *error) {
        const Chunk *chunk = userdata;
        Gc *gc = chunk->gc;

        if (result >= 0) {
                gc->removed++;
                gc->removed_bytes += chunk->victims[index]->size;
                return 0;
        }
        if (gc->failed++ == 0) {
                gc->first_failure = result;
                cli_print_error(gc->cli, problem);
        }
        return 0;
}

static int compare_keys(const void *a, const void *b) {
        return strcmp(((const DepotEntry *) a)->key, ((const DepotEntry *) b)->key);
}

/* Those that were written again meanwhile are left out: an artifact that somebody publishes once more. */
static size_t keep_unchanged(const DepotReply *now, const DepotEntry **victims, size_t n) {
        size_t kept = 0;

        for (size_t i = 0; i < n; i++) {
                const DepotEntry *found = now->n_entries == 0
                                                  ? NULL
                                                  : bsearch(victims[i], now->entries, now->n_entries,
                                                            sizeof(DepotEntry), compare_keys);

                if (found && found->modified == victims[i]->modified)
                        victims[kept++] = victims[i];
        }
        return kept;
}

static bool is_release(const DepotEntry *entry) {
        LayoutKey key;

        layout_parse(entry->key, &key);
        return key.kind == LAYOUT_KIND_RELEASE;
}

/* Releases go without anything else: what is removed after them is what they cannot come back without. */
static size_t chunk_size(const Gc *gc, size_t from) {
        const DepotEntry *const *victims = gc->plan.victims;
        LayoutKey key;
        size_t n;

        layout_parse(victims[from]->key, &key);
        n = MIN(gc->plan.n - from,
                (size_t) (key.kind == LAYOUT_KIND_RELEASE || key.kind == LAYOUT_KIND_ARTIFACT
                                  ? CHUNK
                                  : CHUNK_OF_OTHERS));
        while (is_release(victims[from]) && !is_release(victims[from + n - 1]))
                n--;
        return n;
}

/* 1; 0: what is needed is not what it was. */
static int look_again(const Gc *gc, DepotReply *now, Error *error) {
        int r = gc_survey_list(&gc->access, gc->values->app, now, error);

        return r < 0 ? r : gc_plan_holds(&gc->survey.needs, &gc->survey.list, now);
}

static int put_back(Gc *gc, GcUndo *undo, Error *error) {
        int r = gc_undo_write(gc->access.depot, undo, error);

        if (r < 0)
                error_prefix(error,
                             "releases that somebody may have chosen as they went are not there any more");
        gc->removed -= undo->restored;
        gc->removed_bytes -= undo->restored_bytes;
        return r;
}

/* 1; 0: what is needed has changed meanwhile, and all of them are there again. */
static int remove_releases(Gc *gc, const DepotBatch *batch, const DepotEntry *const *victims, Error *error) {
        _cleanup_depot_reply_ DepotReply after = {};
        _cleanup_gc_undo_ GcUndo undo = {};
        int r;

        r = gc_undo_read(gc->access.depot, victims, batch->n, &undo, error);
        if (r >= 0)
                r = depot_batch_run(gc->access.depot, batch, error);
        if (r >= 0)
                r = look_again(gc, &after, error);
        return r == 0 ? put_back(gc, &undo, error) : r;
}

/* Removes the next ones, if what is needed is what it was. 1; 0: it is not. */
static int remove_chunk(Gc *gc, size_t from, size_t n, Error *error) {
        _cleanup_depot_reply_ DepotReply now = {};
        Chunk chunk = { gc, gc->plan.victims + from };
        DepotBatch batch = { .start = start_delete, .take = take_deleted, .userdata = &chunk };
        int r;

        r = look_again(gc, &now, error);
        if (r <= 0)
                return r;
        batch.n = keep_unchanged(&now, chunk.victims, n);
        if (batch.n > 0 && is_release(chunk.victims[0]))
                return remove_releases(gc, &batch, chunk.victims, error);
        r = depot_batch_run(gc->access.depot, &batch, error);
        return r < 0 ? r : 1;
}

/* 1; 0: what is needed has changed. */
static int remove_all(Gc *gc, Error *error) {
        Progress progress;
        int r = 1;

        progress_begin(&progress, gc->cli, "remove", gc->plan.bytes);
        for (size_t from = 0, n; from < gc->plan.n && r > 0; from += n) {
                n = chunk_size(gc, from);
                r = remove_chunk(gc, from, n, error);
                progress_update(&progress, gc->removed_bytes);
        }
        progress_clear(&progress);
        return r;
}

/* Whoever chose an old release in the last moment, as it went, is told of here. */
static int look_back(Gc *gc, Error *error) {
        int r;

        r = look(gc, error);
        if (r < 0)
                error_prefix(error, "after the removal");
        return r;
}

static int collect(Gc *gc, Error *error) {
        int r = 0;

        for (unsigned round = 0; round < ROUNDS_MAX && r == 0; round++) {
                if (round > 0)
                        r = look(gc, error);
                if (r >= 0)
                        r = remove_all(gc, error);
        }
        if (r < 0)
                return r;
        return r > 0 ? 0
                     : error_set_fault(
                               error, -ESTALE, FAULT_INPUT,
                               "what is needed has changed %u times while it was looked at: try again",
                               ROUNDS_MAX);
}

/* The command */

static int open_gc(Gc *gc, Error *error) {
        const GcValues *values = gc->values;
        int r;

        if (values->older_than.value < GC_AGE_MIN)
                return error_set_fault(
                        error, -EDESTADDRREQ, FAULT_INPUT,
                        "--older-than is less than a day: what was just published has no target yet");
        r = trust_root_read(values->root, &gc->root, error);
        if (r >= 0)
                r = depot_access_open(&values->depot, &gc->access, error);
        if (r < 0)
                return r;
        r = look(gc, error);
        if (r < 0)
                error_prefix(error, "nothing is removed");
        return r;
}

static int run_gc(Cli *cli, void *values, _unused_ char **arguments, Error *error) {
        _cleanup_(gc_deinit) Gc gc = { .cli = cli, .values = values };
        int r;

        r = open_gc(&gc, error);
        if (r >= 0 && gc.values->yes && gc.plan.n > 0)
                r = collect(&gc, error);
        if (r >= 0)
                r = tell(&gc, error);
        if (r >= 0 && gc.removed > 0)
                r = look_back(&gc, error);
        if (r >= 0 && gc.failed > 0)
                return (int) cli_exit_code(gc.first_failure);
        return r;
}

static const Option options[] = {
        { .name = "app",
          .letter = 'a',
          .type = OPTION_NAME,
          OPTION_INTO(GcValues, app),
          .value = "NAME",
          .help = "of this app only, also if no group has a target for it" },
        { .name = "older-than",
          .type = OPTION_DURATION,
          OPTION_INTO(GcValues, older_than),
          .value = "TIME",
          .help = "leave what was written within this time alone; at least 1d",
          .initial = AGE },
        { .name = "yes",
          .letter = 'y',
          .type = OPTION_FLAG,
          OPTION_INTO(GcValues, yes),
          .help = "remove it; without this it is only listed" },
        ROOT_OPTION(GcValues, root),
        DEPOT_OPTIONS(GcValues, depot),
        OPTION_END,
};

const Command command_gc = {
        .name = "gc",
        .summary = "remove from the depot what no target needs",
        .description =
                "Releases that no target names and no instance reports, artifacts of no release, registers and marks of "
                "rollouts that are over, reports of instances that are gone, old failures, and all that groups without a "
                "target have left; none of it younger than --older-than by the depot's clock. Targets and trust roots "
                "always stay, and so does what muster does not know. Nothing is removed unless every target can be read and "
                "verified. An app without any target is left alone unless it is named.",
        .options = options,
        .values_size = sizeof(GcValues),
        .examples =
                (const Example[]){
                        { "What would go?", "muster gc" },
                        { "Every week, from a timer.", "muster gc --yes --quiet" },
                        { "All of an app that no group runs any more.",
                          "muster gc --app old --older-than 1d --yes" },
                        {},
                },
        .run = run_gc,
};
