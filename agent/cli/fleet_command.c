#include <string.h>

#include "agent/base/parse.h"
#include "agent/base/strv.h"
#include "agent/cli/documents.h"
#include "agent/cli/fleet_command.h"
#include "agent/cli/fleet_read.h"
#include "agent/cli/fleet_view.h"
#include "agent/cli/output.h"
#include "agent/cli/place_words.h"
#include "agent/cli/screen.h"
#include "agent/cli/shared_options.h"

/* Between two looks at a fleet that is watched or waited for. */
#define LOOK_INTERVAL (5 * USEC_PER_SEC)

/* Of both; each has a part of its options. */
typedef struct FleetValues {
        const char *app;
        const char *group;
        const char *version;
        bool unhealthy;
        bool gone;
        bool watch;
        OptionNumber instances;
        OptionNumber timeout;
        DepotValues depot;
} FleetValues;

/* What was said last, where nothing can be drawn over: a line that says the same is not said again. */
typedef struct FleetLook {
        Cli *cli;
        const FleetValues *values;
        DepotAccess access;
        FleetReader reader;
        char *said;
        bool is_drawn; /* a line stands on the terminal that is to be drawn over */
} FleetLook;

static void fleet_look_deinit(FleetLook *look) {
        fleet_reader_deinit(&look->reader);
        depot_access_deinit(&look->access);
        free(look->said);
}
#define _cleanup_fleet_look_ _cleanup_(fleet_look_deinit)

static int open_look(FleetLook *look, Cli *cli, FleetValues *values, char *const *words, const char *usage,
                     Error *error) {
        int r;

        look->cli = cli;
        look->values = values;
        r = place_words_take_group(&values->app, &values->group, words, usage, error);
        if (r >= 0)
                r = depot_access_open(&values->depot, &look->access, error);
        if (r >= 0)
                r = fleet_reader_open(&look->reader, &look->access, values->app, values->group, error);
        if (r >= 0)
                r = fleet_reader_look(&look->reader, error);
        return r;
}

/* A group in which nobody has ever reported and that has no target is a name that was mistyped. */
static int check_group(const FleetLook *look, Error *error) {
        const FleetValues *values = look->values;
        _cleanup_stored_document_ StoredDocument target = {};
        int r;

        if (look->reader.fleet.n > 0)
                return 0;
        r = documents_read_target(&look->access, values->app, values->group, &target, error);
        if (r >= 0 && !target.envelope)
                r = documents_no_target(&look->access, values->app, values->group, error);
        return r;
}

/* A line with the time before it; without --json not twice the same. */
static int say_line(FleetLook *look, const char *line, Error *error) {
        char now[TIME_TEXT_MAX];

        if (look->cli->quiet || string_equal(look->said, line))
                return 0;
        format_time(clock_realtime(look->cli->clock), now);
        fprintf(look->cli->out, "%s %s\n", now, line);
        (void) fflush(look->cli->out);
        return string_set(&look->said, line) < 0 ? error_oom(error) : 0;
}

/* muster fleet */

static FleetFilter filter_of(const FleetValues *values) {
        return (FleetFilter){ values->version, values->unhealthy, values->gone };
}

static int print_nobody(const FleetLook *look, const FleetFilter *filter, FILE *stream) {
        _cleanup_free_ char *under = NULL, *text = NULL;
        int r;

        if (asprintf(&under, "%s/%s", depot_uri(look->access.depot), look->reader.prefix) < 0) {
                under = NULL;
                return -ENOMEM;
        }
        r = fleet_view_nobody(&look->reader.fleet, filter, under, &text);
        if (r >= 0)
                fputs(text, stream);
        return r;
}

static int print_fleet(FILE *stream, const void *userdata) {
        const FleetLook *look = userdata;
        const FleetFilter filter = filter_of(look->values);
        int r;

        r = fleet_view_print(&look->reader.fleet, &filter, stream, &look->cli->out_style);
        return r < 0 ? r : print_nobody(look, &filter, stream);
}

/* One value a line: what follows it is another look. */
static int dump_fleet(const FleetLook *look, Error *error) {
        const FleetFilter filter = filter_of(look->values);
        json_auto_t *value = fleet_view_to_json(&look->reader.fleet, &filter);

        if (!value)
                return error_oom(error);
        if (json_dumpf(value, look->cli->out, JSON_COMPACT) < 0 || fputc('\n', look->cli->out) == EOF ||
            fflush(look->cli->out) != 0)
                return error_set(error, -EIO, "standard output: %s", strerror(errno));
        return 0;
}

static int tell_watched(FleetLook *look, const char *problem, Error *error) {
        _cleanup_free_ char *summary = NULL;

        if (look->cli->json)
                return *problem ? 0 : dump_fleet(look, error);
        if (isatty(fileno(look->cli->out)))
                return screen_show(look->cli->out, &look->cli->out_style, problem, print_fleet, look, error);
        if (*problem)
                return say_line(look, problem, error);
        if (fleet_view_summary(&look->reader.fleet, &summary) < 0)
                return error_oom(error);
        return say_line(look, summary, error);
}

/* Until it is interrupted. What cannot be read now can be read later. */
static int watch_fleet(FleetLook *look, Error *error) {
        Error problem = {};
        int r;

        for (;;) {
                r = tell_watched(look, problem.message, error);
                if (r < 0)
                        return r;
                (void) usleep(LOOK_INTERVAL);
                problem = (Error){};
                (void) fleet_reader_look(&look->reader, &problem);
        }
}

static int run_fleet(Cli *cli, void *values, char **arguments, Error *error) {
        FleetValues *given = values;
        _cleanup_fleet_look_ FleetLook look = {};
        FleetFilter filter;
        int r;

        r = open_look(&look, cli, given, arguments, "muster fleet APP GROUP", error);
        if (r >= 0)
                r = check_group(&look, error);
        if (r < 0)
                return r;
        if (given->watch)
                return watch_fleet(&look, error);
        filter = filter_of(given);
        if (cli->json)
                return output_json(cli, fleet_view_to_json(&look.reader.fleet, &filter), error);
        return print_fleet(cli->out, &look) < 0 ? error_oom(error) : 0;
}

/* muster wait */

static size_t count_serving(const FleetLook *look) {
        const Fleet *fleet = &look->reader.fleet;
        size_t n = 0;

        for (size_t i = 0; i < fleet->n; i++)
                n += fleet_instance_serves(&fleet->items[i], look->values->version);
        return n;
}

static void clear_line(FleetLook *look) {
        if (look->is_drawn)
                fputs("\r\033[K", look->cli->err);
        look->is_drawn = false;
}

/* On a terminal a line that changes, elsewhere one for each change. */
static int tell_wait(FleetLook *look, const char *problem, Error *error) {
        const FleetValues *values = look->values;
        _cleanup_free_ char *summary = NULL, *line = NULL;
        const Cli *cli = look->cli;

        if (cli->quiet || cli->json)
                return 0;
        if (fleet_view_summary(&look->reader.fleet, &summary) < 0 ||
            asprintf(&line, "%zu of %ju with %s%s%s", count_serving(look),
                     (uintmax_t) values->instances.value, values->version, *problem ? ": " : "; ",
                     *problem ? problem : summary) < 0)
                return error_oom(error);
        if (!cli->err_is_terminal)
                return say_line(look, line, error);
        clear_line(look);
        fprintf(cli->err, "%.*s", (int) cli->columns - 1, line);
        (void) fflush(cli->err);
        look->is_drawn = true;
        return 0;
}

static int tell_outcome(FleetLook *look, bool reached, Error *error) {
        const FleetValues *values = look->values;
        size_t n = count_serving(look);
        char after[DURATION_TEXT_MAX];
        int r;

        clear_line(look);
        if (look->cli->json) {
                r = output_json(look->cli,
                                json_pack("{s:b, s:s, s:I, s:I, s:o}", "reached", reached, "version",
                                          values->version, "serving", (json_int_t) n, "wanted",
                                          (json_int_t) values->instances.value, "summary",
                                          fleet_summary_to_json(&look->reader.fleet)),
                                error);
                return r < 0 || reached ? r : EXIT_CODE_FAILED;
        }
        if (reached) {
                cli_say(look->cli, "%zu instance%s of %s in %s serve%s %s", n, n == 1 ? "" : "s", values->app,
                        values->group, n == 1 ? "s" : "", values->version);
                return 0;
        }
        format_duration(values->timeout.value, after);
        return error_set(error, -ETIME, "after %s %zu of %ju instances of %s in %s serve %s", after, n,
                         (uintmax_t) values->instances.value, values->app, values->group, values->version);
}

/* A depot that cannot be reached for a moment ends nothing. */
static int wait_for_fleet(FleetLook *look, Error *error) {
        const FleetValues *values = look->values;
        uint64_t until = usec_add(clock_boottime(look->cli->clock),
                                  values->timeout.given ? values->timeout.value : USEC_INFINITY);
        Error problem = {};
        int r;

        while (count_serving(look) < values->instances.value || problem.message[0]) {
                uint64_t now = clock_boottime(look->cli->clock);

                r = tell_wait(look, problem.message, error);
                if (r < 0)
                        return r;
                if (now >= until)
                        return tell_outcome(look, false, error);
                (void) usleep((useconds_t) MIN(LOOK_INTERVAL, until - now));
                problem = (Error){};
                (void) fleet_reader_look(&look->reader, &problem);
        }
        return tell_outcome(look, true, error);
}

/* What was never published would be waited for in vain. */
static int check_version(const FleetLook *look, Error *error) {
        const FleetValues *values = look->values;
        _cleanup_stored_document_ StoredDocument release = {};
        int r;

        r = documents_read_release(&look->access, values->app, values->version, &release, error);
        if (r >= 0 && !release.envelope)
                r = documents_no_release(&look->access, values->app, values->version, error);
        return r;
}

static int run_wait(Cli *cli, void *values, char **arguments, Error *error) {
        FleetValues *given = values;
        _cleanup_fleet_look_ FleetLook look = {};
        int r;

        if (given->instances.value == 0)
                return error_set_fault(error, -EDESTADDRREQ, FAULT_INPUT,
                                       "--instances is 0, expected how many are to be waited for");
        r = open_look(&look, cli, given, arguments, "muster wait APP GROUP --version VERSION --instances N",
                      error);
        if (r >= 0)
                r = check_group(&look, error);
        if (r >= 0)
                r = check_version(&look, error);
        return r < 0 ? r : wait_for_fleet(&look, error);
}

/* Tables */

static const Option fleet_options[] = {
        { .name = "version",
          .type = OPTION_VERSION,
          OPTION_INTO(FleetValues, version),
          .value = "VERSION",
          .help = "list those that run this version" },
        { .name = "unhealthy",
          .type = OPTION_FLAG,
          OPTION_INTO(FleetValues, unhealthy),
          .help = "list those that are unhealthy or silent" },
        { .name = "gone",
          .type = OPTION_FLAG,
          OPTION_INTO(FleetValues, gone),
          .help = "list those as well that have not reported for a day" },
        { .name = "watch",
          .letter = 'w',
          .type = OPTION_FLAG,
          OPTION_INTO(FleetValues, watch),
          .help = "look again every 5 seconds, until interrupted" },
        PLACE_OPTIONS(FleetValues, app, group),
        DEPOT_OPTIONS(FleetValues, depot),
        OPTION_END,
};

const Command command_fleet = {
        .name = "fleet",
        .heading = "A whole group",
        .summary = "say who runs what in a group, and how it does",
        .description =
                "From the reports that instances leave in the depot: the version that serves and since when, whether it is "
                "healthy, the last contact, the version to which it can go back from its own disk, and what is special: "
                "drift, pins, a launch that is held. Who has not reported for three of its report intervals is silent, "
                "after a day gone. The worst come first.",
        .arguments = "APP GROUP",
        .arguments_max = 2,
        .options = fleet_options,
        .values_size = sizeof(FleetValues),
        .examples =
                (const Example[]){
                        { "How is production?", "muster fleet api prod" },
                        { "Who still runs the old version?", "muster fleet api prod --version 1.4.1" },
                        { "What is wrong?", "muster fleet api prod --unhealthy" },
                        { "While it changes.", "muster fleet api prod --watch" },
                        {},
                },
        .run = run_fleet,
};

static const Option wait_options[] = {
        VERSION_OPTION(FleetValues, version, true),
        { .name = "instances",
          .letter = 'n',
          .type = OPTION_NUMBER,
          OPTION_INTO(FleetValues, instances),
          .value = "N",
          .help = "how many must serve it and be healthy",
          .required = true },
        { .name = "timeout",
          .letter = 't',
          .type = OPTION_DURATION,
          OPTION_INTO(FleetValues, timeout),
          .value = "TIME",
          .help = "give up (exit 1) after so long; otherwise never" },
        PLACE_OPTIONS(FleetValues, app, group),
        DEPOT_OPTIONS(FleetValues, depot),
        OPTION_END,
};

const Command command_wait = {
        .name = "wait",
        .summary = "wait until so many instances serve a version",
        .description =
                "Returns as soon as at least N instances of the group serve the version and are healthy. A depot that cannot "
                "be reached for a while ends nothing. Exit status: 0 there are as many; 1 the time was over; 5 there "
                "is no such version or group; 7 the depot could not be reached at the start.",
        .arguments = "APP GROUP",
        .arguments_max = 2,
        .options = wait_options,
        .values_size = sizeof(FleetValues),
        .examples =
                (const Example[]){
                        { "Before the broadcast: capacity is there, with the right version.",
                          "muster wait api prod --version 1.4.2 --instances 40 --timeout 45m" },
                        {},
                },
        .run = run_wait,
};
