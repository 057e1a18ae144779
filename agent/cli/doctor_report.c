#include <stdarg.h>
#include <string.h>

#include "agent/base/utf8.h"
#include "agent/cli/doctor_report.h"

#define NAME_WIDTH 30
#define INDENT 10

static const char *const verdicts[] = {
        [DOCTOR_OK] = "ok",
        [DOCTOR_WARNING] = "warning",
        [DOCTOR_FAILED] = "failed",
        [DOCTOR_NOT_TRIED] = "not tried",
};

int doctor_report_init(DoctorReport *report, const Cli *cli) {
        *report = (DoctorReport){ .cli = cli, .checks = json_array() };
        return report->checks ? 0 : -ENOMEM;
}

void doctor_report_deinit(DoctorReport *report) {
        json_decref(report->checks);
        *report = (DoctorReport){};
}

static const char *colour_of(const Style *style, DoctorVerdict verdict) {
        switch (verdict) {
        case DOCTOR_OK:
                return style->good;
        case DOCTOR_FAILED:
                return style->bad;
        case DOCTOR_WARNING:
                return style->strong;
        default:
                return style->faint;
        }
}

/* With --quiet only what somebody has to do something about. */
static void print(const DoctorReport *report, DoctorVerdict verdict, const char *name, const char *advice,
                  const char *text) {
        const Cli *cli = report->cli;
        const Style *style = &cli->out_style;

        if (cli->json || (cli->quiet && verdict != DOCTOR_WARNING && verdict != DOCTOR_FAILED))
                return;
        fprintf(cli->out, "%s%-*s%s %-*s %s\n", colour_of(style, verdict), INDENT - 1, verdicts[verdict],
                style->off, NAME_WIDTH, name, text);
        if (advice)
                fprintf(cli->out, "%*s-> %s\n", INDENT, "", advice);
        fflush(cli->out);
}

/* One line of what can be shown, whatever a server's answer brought with it. */
static void make_line(char *text) {
        utf8_make_printable(text, strlen(text));
        for (char *p = text; (p = strchr(p, '\n'));)
                *p = ' ';
}

void doctor_say(DoctorReport *report, DoctorVerdict verdict, const char *name, const char *advice,
                const char *format, ...) {
        char text[ERROR_MESSAGE_MAX + 256];
        va_list arguments;

        va_start(arguments, format);
        vsnprintf(text, sizeof(text), format, arguments);
        va_end(arguments);
        make_line(text);
        report->counts[verdict]++;
        print(report, verdict, name, advice, text);
        if (json_array_append_new(report->checks,
                                  json_pack("{s:s, s:s, s:s, s:s?}", "check", name, "verdict",
                                            verdicts[verdict], "text", text, "advice", advice)) < 0) {
                json_decref(report->checks);
                report->checks = NULL;
        }
}

static int print_json(const DoctorReport *report, Error *error) {
        json_auto_t *whole = NULL;
        _cleanup_free_ char *text = NULL;

        whole = json_pack("{s:i, s:i, s:O}", "failed", (int) report->counts[DOCTOR_FAILED], "warnings",
                          (int) report->counts[DOCTOR_WARNING], "checks", report->checks);
        if (whole)
                text = json_dumps(whole, JSON_INDENT(2));
        if (!text)
                return error_oom(error);
        fprintf(report->cli->out, "%s\n", text);
        return 0;
}

int doctor_report_end(DoctorReport *report, Error *error) {
        unsigned failed = report->counts[DOCTOR_FAILED], warnings = report->counts[DOCTOR_WARNING];

        if (!report->checks)
                return error_oom(error);
        if (report->cli->json)
                return print_json(report, error);
        if (failed + warnings == 0)
                cli_say(report->cli, "\nnothing is wrong");
        else
                cli_say(report->cli, "\n%u failed, %u warning%s", failed, warnings, warnings == 1 ? "" : "s");
        return 0;
}
