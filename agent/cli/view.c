#include <jansson.h>
#include <string.h>

#include "agent/base/parse.h"
#include "agent/base/strv.h"
#include "agent/base/utf8.h"
#include "agent/cli/table.h"
#include "agent/cli/view.h"
#include "artifacts/json.h"

/* Makes a text fit for a terminal, and one line of it but for what a program printed. */
static int make_printable(json_t *string, const char *key) {
        _cleanup_free_ char *text = strdup(json_string_value(string));

        if (!text)
                return -ENOMEM;
        utf8_make_printable(text, strlen(text));
        for (char *p = text; !string_equal(key, "output_tail") && (p = strchr(p, '\n'));)
                *p = ' ';
        return json_string_set(string, text) < 0 ? -ENOMEM : 0;
}

int view_make_printable(json_t *value) {
        return json_change_strings(value, make_printable);
}

int view_parse(const char *text, const char *what, json_t **ret, Error *error) {
        json_error_t json_error;
        json_auto_t *value = json_loads(text, JSON_REJECT_DUPLICATES, &json_error);

        if (!value)
                return error_set(error, -EBADMSG, "%s is no JSON: %s", what, json_error.text);
        if (!json_is_object(value))
                return error_set(error, -EBADMSG, "%s is no JSON object", what);
        if (view_make_printable(value) < 0)
                return error_oom(error);
        *ret = TAKE_PTR(value);
        return 0;
}

/* The text of a member, NULL where there is none. */
static const char *text_of(const json_t *object, const char *name) {
        const char *text = json_string_value(json_object_get(object, name));

        return text && *text ? text : NULL;
}

void view_age(uint64_t then, uint64_t now, char ret[static VIEW_AGE_MAX]) {
        static const struct {
                uint64_t seconds;
                const char *unit;
        } units[] = { { 86400, "d" }, { 3600, "h" }, { 60, "m" }, { 1, "s" } };
        uint64_t seconds = now > then ? (now - then) / USEC_PER_SEC : 0;

        for (size_t i = 0; i < ELEMENTSOF(units); i++)
                if (seconds >= units[i].seconds) {
                        snprintf(ret, VIEW_AGE_MAX, "%llu%s ago",
                                 (unsigned long long) (seconds / units[i].seconds), units[i].unit);
                        return;
                }
        snprintf(ret, VIEW_AGE_MAX, "just now");
}

static void format_age(const char *time, uint64_t now, char ret[static VIEW_AGE_MAX]) {
        uint64_t then;

        if (!time || parse_time(time, &then) < 0 || then > now)
                snprintf(ret, VIEW_AGE_MAX, "%s", time ?: "-");
        else
                view_age(then, now, ret);
}

const char *view_step_name(const json_t *step) {
        const char *event = text_of(step, "event"), *name = text_of(step, "step") ?: "-";

        return event && !string_starts_with(name, "ROLLBACK") ? event : name;
}

/* Status. */

typedef struct View {
        FILE *stream;
        const Style *style;
        uint64_t now;
} View;

static const char *style_of_state(const View *view, const char *state) {
        if (string_ends_with(state, "failed") || strcmp(state, "rolled-back") == 0)
                return view->style->bad;
        if (strcmp(state, "ready") == 0 || strcmp(state, "succeeded") == 0)
                return view->style->good;
        return "";
}

/* Without the state's own name before it, which stands there already. */
static const char *reason_of(const json_t *status, const char *state) {
        const char *reason = text_of(status, "reason");
        size_t n = strlen(state);

        return reason && string_starts_with(reason, state) && string_starts_with(reason + n, ": ")
                       ? reason + n + 2
                       : reason;
}

static void print_queue(const View *view, const json_t *queue) {
        const char *reason = text_of(queue, "reason");

        if (!json_is_object(queue))
                return;
        fprintf(view->stream, "queue     %s%s: %s%s%s\n", text_of(queue, "queue") ?: "-",
                json_is_true(json_object_get(queue, "shared")) ? " (shared)" : "",
                text_of(queue, "state") ?: "-", reason ? ", " : "", reason ?: "");
}

/* One that the group has not heard for long, or that holds, must be seen. */
static void print_launch(const View *view, const json_t *launch) {
        bool alarm = json_is_true(json_object_get(launch, "alarm"));
        const char *state = text_of(launch, "state") ?: "-", *reason = text_of(launch, "reason");
        bool bad = alarm || strcmp(state, "holding") == 0 || strcmp(state, "abandoned") == 0;
        const json_t *hooks = json_object_get(launch, "hooks"), *hook;
        size_t i;

        if (!text_of(launch, "hook") && !alarm)
                return;
        fputs("launch    hook ", view->stream);
        if (json_array_size(hooks) == 0)
                fputs(text_of(launch, "hook") ?: "not known", view->stream);
        json_array_foreach((json_t *) hooks, i, hook)
                fprintf(view->stream, "%s%s", i > 0 ? ", " : "", json_string_value(hook) ?: "-");
        fprintf(view->stream, ": %s%s%s%s%s%s\n", bad ? view->style->bad : "", state,
                alarm ? ", BUT THE GROUP COULD NOT BE TOLD" : "", bad ? view->style->off : "",
                reason ? ", " : "", reason ?: "");
}

/* In service, or of no group, an instance is what everybody expects. */
static void print_life(const View *view, const json_t *life) {
        const char *state = text_of(life, "state"), *reason = text_of(life, "reason");
        const json_t *leaves = json_object_get(life, "leave");
        const char *problem = text_of(life, "problem"), *leave = text_of(leaves, "state");
        bool alarm = json_is_true(json_object_get(leaves, "alarm"));
        bool usual = !state || strcmp(state, "in-service") == 0 || strcmp(state, "alone") == 0;

        if (usual && !problem)
                return;
        fprintf(view->stream, "life      %s%s%s%s%s%s%s%s%s%s\n", state ?: "-", reason ? ": " : "",
                reason ?: "", leave && strcmp(leave, "stays") != 0 ? ", " : "",
                leave && strcmp(leave, "stays") != 0 ? leave : "", alarm ? view->style->bad : "",
                alarm ? ", BUT THE GROUP COULD NOT BE TOLD" : "", alarm ? view->style->off : "",
                problem ? ", " : "", problem ?: "");
}

static void print_head(const View *view, const json_t *status) {
        const char *state = text_of(status, "state") ?: "-", *group = text_of(status, "group");
        const char *reason = reason_of(status, state);

        fprintf(view->stream, "instance  %s%s%s, musterd %s\n", text_of(status, "instance") ?: "-",
                group ? " in group " : "", group ?: "", text_of(status, "agent_version") ?: "-");
        fprintf(view->stream, "depot     %s\n", text_of(status, "depot") ?: "none yet: see muster.conf(5)");
        print_queue(view, json_object_get(status, "queue"));
        fprintf(view->stream, "state     %s%s%s%s%s\n", style_of_state(view, state), state, view->style->off,
                reason ? ": " : "", reason ?: "");
        print_launch(view, json_object_get(status, "launch"));
        print_life(view, json_object_get(status, "life"));
}

typedef int (*AddRow)(Table *table, const json_t *item, uint64_t now);

static int print_table(const View *view, const char *const heading[], size_t n_columns, const json_t *items,
                       AddRow add) {
        _cleanup_table_ Table table = { .n_columns = n_columns };
        const json_t *item;
        size_t i;
        int r;

        r = table_add(&table, heading);
        json_array_foreach((json_t *) items, i, item)
                if (r >= 0)
                        r = add(&table, item, view->now);
        if (r >= 0)
                table_print(&table, view->stream, view->style);
        return r;
}

static int add_app(Table *table, const json_t *app, uint64_t now) {
        const json_t *serial = json_object_get(app, "serial");
        char number[24] = "-", age[VIEW_AGE_MAX];

        if (json_integer_value(serial) > 0)
                snprintf(number, sizeof(number), "%lld", (long long) json_integer_value(serial));
        format_age(text_of(app, "since"), now, age);
        return table_add(
                table, TABLE_ROW(text_of(app, "app"), text_of(app, "version"), text_of(app, "state"), number,
                                 json_is_true(json_object_get(app, "required")) ? "yes" : "no", age));
}

static int print_apps(const View *view, const json_t *apps) {
        if (json_array_size(apps) == 0)
                return 0;
        fputc('\n', view->stream);
        return print_table(view, TABLE_ROW("APP", "VERSION", "STATE", "SERIAL", "REQUIRED", "SINCE"), 6, apps,
                           add_app);
}

/* Nobody who looks may miss that this instance does not do what its group is told. */
static void print_pins(const View *view, const json_t *app) {
        const json_t *here = json_object_get(app, "local_pin"), *group = json_object_get(app, "pin");
        const char *name = text_of(app, "app") ?: "-";
        char age[VIEW_AGE_MAX];

        if (json_is_object(here)) {
                format_age(text_of(here, "since"), view->now, age);
                fprintf(view->stream, "%s: %sPINNED ON THIS INSTANCE%s to %s, %s: %s\n", name,
                        view->style->bad, view->style->off, text_of(here, "version") ?: "-", age,
                        text_of(here, "reason") ?: "-");
        }
        if (json_is_object(group)) {
                format_age(text_of(group, "since"), view->now, age);
                fprintf(view->stream, "%s: the group is %spinned%s to %s, %s%s: %s\n", name,
                        view->style->strong, view->style->off, text_of(group, "version") ?: "-", age,
                        json_is_true(json_object_get(group, "urgent")) ? ", urgent" : "",
                        text_of(group, "reason") ?: "no reason was given");
        }
}

/* Its part in the rollout of its group. One that is complete and not finished must be seen: the way back leads elsewhere. */
static void print_rollout(const View *view, const json_t *app) {
        const json_t *rollout = json_object_get(app, "rollout"), *stage = json_object_get(rollout, "stage");
        const char *state = text_of(rollout, "state") ?: "-", *waits_for = text_of(rollout, "waits_for"),
                   *holder = text_of(rollout, "holder");

        if (!json_is_object(rollout))
                return;
        fprintf(view->stream, "%s: rollout %s to %s is %s%s%s", text_of(app, "app") ?: "-",
                text_of(rollout, "id") ?: "-", text_of(rollout, "release") ?: "-", view->style->strong, state,
                view->style->off);
        if (json_is_integer(stage))
                fprintf(view->stream, ", stage %lld of %lld", (long long) json_integer_value(stage),
                        (long long) json_integer_value(json_object_get(rollout, "stages")));
        fprintf(view->stream, "; this instance: %s%s%s%s%s%s\n", text_of(rollout, "role") ?: "-",
                waits_for ? ", " : "", waits_for ?: "", holder ? ", held by " : "", holder ?: "",
                strcmp(state, "complete") == 0 ? "; not finished yet: muster rollout finish" : "");
}

/* What does not fit in a column: why it is so, what is being done, what failed last. */
static void print_remarks(const View *view, const json_t *app) {
        const json_t *deployment = json_object_get(app, "deployment"),
                     *failure = json_object_get(app, "last_failure");
        const json_t *percent = json_object_get(deployment, "percent");
        const char *name = text_of(app, "app") ?: "-";
        char age[VIEW_AGE_MAX];

        print_pins(view, app);
        print_rollout(view, app);
        if (text_of(app, "reason"))
                fprintf(view->stream, "%s: %s\n", name, text_of(app, "reason"));
        if (text_of(app, "target_problem") &&
            !string_equal(text_of(app, "target_problem"), text_of(app, "reason")))
                fprintf(view->stream, "%s: %swhat its group should run could not be read%s: %s\n", name,
                        view->style->bad, view->style->off, text_of(app, "target_problem"));
        if (json_is_object(deployment)) {
                format_age(text_of(deployment, "started"), view->now, age);
                fprintf(view->stream, "%s: deploys %s: %s", name, text_of(deployment, "version") ?: "-",
                        view_step_name(deployment));
                if (json_is_number(percent))
                        fprintf(view->stream, " %.0f%%", json_number_value(percent));
                fprintf(view->stream, ", begun %s\n", age);
        }
        if (json_is_object(failure)) {
                const char *why = text_of(failure, "reason") ?: "-";
                bool is_known = text_of(app, "reason") && strstr(text_of(app, "reason"), why);

                format_age(text_of(failure, "at"), view->now, age);
                fprintf(view->stream, "%s: %s%s failed%s at %s, %s%s%s\n", name, view->style->bad,
                        text_of(failure, "version") ?: "-", view->style->off, text_of(failure, "step") ?: "-",
                        age, is_known ? "" : ": ", is_known ? "" : why);
        }
}

/* What goes on around a release that serves: out of the load balancer, unhealthy. */
static void print_service(const View *view, const json_t *app) {
        const json_t *out = json_object_get(app, "out_of_traffic"),
                     *health = json_object_get(app, "health_watch");
        const char *name = text_of(app, "app") ?: "-", *state = text_of(health, "state");
        const char *problem = text_of(out, "problem") ?: "", *why = text_of(health, "reason") ?: "",
                   *replacement = text_of(health, "replacement") ?: "";

        if (json_is_object(out))
                fprintf(view->stream, "%s: %sout of its target groups%s (%s)%s%s\n", name, view->style->bad,
                        view->style->off, text_of(out, "target_groups") ?: "-", *problem ? ": " : "",
                        problem);
        if (state && strcmp(state, "healthy") != 0)
                fprintf(view->stream, "%s: health checks: %s%s%s%s%s%s%s\n", name, view->style->bad, state,
                        view->style->off, *why ? ": " : "", why, *replacement ? "; " : "", replacement);
}

static void print_installed(const View *view, const json_t *app) {
        const json_t *rollback = json_object_get(app, "rollback"), *release, *line;
        const char *name = text_of(app, "app") ?: "-";
        size_t i, j;

        json_array_foreach(json_object_get(app, "installed"), i, release) {
                const char *state = text_of(release, "state") ?: "-";

                if (strcmp(state, "drifted") != 0 && strcmp(state, "failed") != 0)
                        continue;
                fprintf(view->stream, "%s: %s%s%s: release %s (%s) is not as it was published", name,
                        view->style->bad, state, view->style->off, text_of(release, "release") ?: "-",
                        text_of(release, "role") ?: "-");
                if (text_of(release, "problem"))
                        fprintf(view->stream, ": %s", text_of(release, "problem"));
                fputc('\n', view->stream);
                json_array_foreach(json_object_get(release, "shown"), j, line)
                        fprintf(view->stream, "  %s\n", json_string_value(line) ?: "-");
        }
        if (json_is_true(json_object_get(rollback, "ready")))
                fprintf(view->stream, "%s: rollback ready: %s\n", name, text_of(rollback, "version") ?: "-");
        else if (text_of(app, "version") && text_of(rollback, "reason"))
                fprintf(view->stream, "%s: rollback not ready: %s\n", name, text_of(rollback, "reason"));
}

/* What the depot or the Auto Scaling group has yet to hear. */
static void print_undelivered(const View *view, const json_t *list) {
        const json_t *item;
        size_t i;

        json_array_foreach((json_t *) list, i, item) {
                const char *app = text_of(item, "app");
                char age[VIEW_AGE_MAX];

                format_age(text_of(item, "since"), view->now, age);
                fprintf(view->stream, "unsent    %s%s%s, made %s: %s\n", text_of(item, "what") ?: "-",
                        app ? " of " : "", app ?: "", age, text_of(item, "reason") ?: "-");
        }
}

int view_status(const char *json, uint64_t now, FILE *stream, const Style *style, Error *error) {
        const View view = { .stream = stream, .style = style, .now = now };
        json_auto_t *status = NULL;
        const json_t *apps, *app;
        size_t i;
        int r;

        r = view_parse(json, "musterd's status", &status, error);
        if (r < 0)
                return r;
        apps = json_object_get(status, "apps");
        print_head(&view, status);
        print_undelivered(&view, json_object_get(status, "undelivered"));
        if (print_apps(&view, apps) < 0)
                return error_oom(error);
        json_array_foreach((json_t *) apps, i, app) {
                if (i == 0)
                        fputc('\n', stream);
                print_remarks(&view, app);
                print_service(&view, app);
                print_installed(&view, app);
        }
        return 0;
}

/* History. */

/* "1.0 -> 2.0", or what else was done with a release: "drain 1.0". */
static int describe_move(const json_t *deployment, char **ret) {
        const char *from = text_of(deployment, "from_version"), *kind = text_of(deployment, "kind");
        int r;

        if (kind && strcmp(kind, "deploy") != 0)
                r = asprintf(ret, "%s %s", kind, text_of(deployment, "version") ?: "-");
        else
                r = asprintf(ret, "%s%s%s", from ?: "", from ? " -> " : "",
                             text_of(deployment, "version") ?: "-");
        if (r < 0)
                *ret = NULL;
        return r < 0 ? -ENOMEM : 0;
}

static int add_deployment(Table *table, const json_t *deployment, uint64_t now) {
        _cleanup_free_ char *move = NULL;
        const char *outcome = text_of(deployment, "outcome");
        char age[VIEW_AGE_MAX];

        if (describe_move(deployment, &move) < 0)
                return -ENOMEM;
        format_age(text_of(deployment, "started"), now, age);
        return table_add(table, TABLE_ROW(text_of(deployment, "id"), text_of(deployment, "app"), move, age,
                                          outcome, text_of(deployment, "reason") ?: ""));
}

static void print_tail(const View *view, const char *tail) {
        for (const char *p = tail; p && *p;) {
                size_t n = strcspn(p, "\n");

                fprintf(view->stream, "      %s| %.*s%s\n", view->style->faint, (int) n, p, view->style->off);
                p += n + (p[n] == '\n');
        }
}

static void print_step(const View *view, const json_t *step) {
        const json_t *seconds = json_object_get(step, "seconds");

        fprintf(view->stream, "    %-24s %-12s", view_step_name(step), text_of(step, "result") ?: "-");
        if (json_is_number(seconds))
                fprintf(view->stream, " %8.1fs", json_number_value(seconds));
        fputc('\n', view->stream);
        print_tail(view, text_of(step, "output_tail"));
}

void view_steps(const json_t *deployment, FILE *stream, const Style *style) {
        const View view = { .stream = stream, .style = style };
        const json_t *step;
        size_t i;

        json_array_foreach((json_t *) json_object_get(deployment, "steps"), i, step)
                print_step(&view, step);
}

static void print_deployment(const View *view, const json_t *deployment) {
        const char *outcome = text_of(deployment, "outcome") ?: "-", *reason = text_of(deployment, "reason");
        _cleanup_free_ char *move = NULL;

        fprintf(view->stream, "%s%s%s %s: %s\n", view->style->strong, text_of(deployment, "id") ?: "-",
                view->style->off, text_of(deployment, "app") ?: "-",
                describe_move(deployment, &move) < 0 ? "-" : move);
        fprintf(view->stream, "  %s to %s: %s%s%s%s%s\n", text_of(deployment, "started") ?: "-",
                text_of(deployment, "finished") ?: "now", style_of_state(view, outcome), outcome,
                view->style->off, reason ? ": " : "", reason ?: "");
        view_steps(deployment, view->stream, view->style);
}

static int print_list(const View *view, const json_t *deployments) {
        return print_table(view, TABLE_ROW("DEPLOYMENT", "APP", "VERSION", "STARTED", "OUTCOME", "REASON"), 6,
                           deployments, add_deployment);
}

int view_history(const char *json, bool detailed, uint64_t now, FILE *stream, const Style *style,
                 Error *error) {
        const View view = { .stream = stream, .style = style, .now = now };
        json_auto_t *history = NULL;
        const json_t *deployments, *deployment;
        size_t i;
        int r;

        r = view_parse(json, "musterd's history", &history, error);
        if (r < 0)
                return r;
        deployments = json_object_get(history, "deployments");
        if (json_array_size(deployments) == 0) {
                fputs("nothing was deployed yet\n", stream);
                return 0;
        }
        if (!detailed)
                return print_list(&view, deployments) < 0 ? error_oom(error) : 0;
        json_array_foreach((json_t *) deployments, i, deployment)
                print_deployment(&view, deployment);
        return 0;
}
