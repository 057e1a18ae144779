#include <string.h>

#include "agent/base/parse.h"
#include "agent/cli/progress.h"

#define BAR_WIDTH_MAX 30U
#define BAR_WIDTH_MIN 10U
#define RATE_AFTER (500 * USEC_PER_MSEC) /* before that a rate is mostly noise */

static unsigned percent_of(uint64_t done, uint64_t total) {
        return total == 0 || done >= total ? 100 : (unsigned) ((double) done * 100.0 / (double) total);
}

static unsigned bar_width(unsigned columns) {
        unsigned width = columns / 4;

        return width < BAR_WIDTH_MIN ? BAR_WIDTH_MIN : width > BAR_WIDTH_MAX ? BAR_WIDTH_MAX : width;
}

void progress_bar(unsigned percent, unsigned width, char *ret) {
        unsigned filled = percent * width / 100;

        for (unsigned i = 0; i < width; i++)
                ret[i] = i < filled ? '=' : i == filled ? '>' : ' ';
        ret[width] = '\0';
}

typedef struct Line {
        char *text; /* of PROGRESS_LINE_MAX */
        unsigned columns;
        bool is_full;
} Line;

/* Adds TEXT if the line stays within its columns with it; what comes after something that did not fit is left out
 * as well. */
static void add(Line *line, const char *text) {
        size_t n = strlen(line->text), m = strlen(text);

        line->is_full |= n + m > line->columns || n + m >= PROGRESS_LINE_MAX;
        if (!line->is_full)
                memcpy(line->text + n, text, m + 1);
}

static void add_rate(Line *line, uint64_t done, uint64_t total, uint64_t elapsed) {
        double rate = (double) done * (double) USEC_PER_SEC / (double) elapsed;
        char size[SIZE_TEXT_MAX], duration[DURATION_TEXT_MAX], text[128];

        format_size((uint64_t) rate, size);
        snprintf(text, sizeof(text), "  %s/s", size);
        add(line, text);
        if (rate < 1 || done >= total)
                return;
        format_duration(((uint64_t) ((double) (total - done) / rate) + 1) * USEC_PER_SEC, duration);
        snprintf(text, sizeof(text), "  %s left", duration);
        add(line, text);
}

void progress_format(const char *label, uint64_t done, uint64_t total, uint64_t elapsed, unsigned columns,
                     char ret[static PROGRESS_LINE_MAX]) {
        char bar[BAR_WIDTH_MAX + 1], text[128], is[SIZE_TEXT_MAX], of[SIZE_TEXT_MAX];
        unsigned width = bar_width(columns), percent = percent_of(done, total);
        Line line = { .text = ret, .columns = columns };

        ret[0] = '\0';
        format_size(done, is);
        format_size(total, of);
        add(&line, label);
        if (total > 0) {
                progress_bar(percent, width, bar);
                snprintf(text, sizeof(text), "  [%s]", bar);
                add(&line, text);
                snprintf(text, sizeof(text), "  %3u%%  %s of %s", percent, is, of);
        } else
                snprintf(text, sizeof(text), "  %s", is);
        add(&line, text);
        if (elapsed >= RATE_AFTER)
                add_rate(&line, done, total, elapsed);
}

void progress_begin(Progress *progress, const Cli *cli, const char *label, uint64_t total) {
        uint64_t now = clock_boottime(cli->clock);

        *progress = (Progress){ .cli = cli, .label = label, .total = total, .started = now, .shown = now };
}

void progress_update(Progress *progress, uint64_t done) {
        const Cli *cli = progress->cli;
        uint64_t now = clock_boottime(cli->clock);
        uint64_t interval = cli->err_is_terminal ? PROGRESS_DRAW_INTERVAL : PROGRESS_LINE_INTERVAL;
        char line[PROGRESS_LINE_MAX];

        if (cli->quiet || now - progress->shown < interval)
                return;
        progress->shown = now;
        progress_format(progress->label, done, progress->total, now - progress->started, cli->columns - 1,
                        line);
        if (cli->err_is_terminal) {
                fprintf(cli->err, "\r%s\033[K", line);
                progress->is_drawn = true;
        } else
                fprintf(cli->err, "%s\n", line);
        fflush(cli->err);
}

void progress_clear(Progress *progress) {
        if (!progress->is_drawn)
                return;
        fputs("\r\033[K", progress->cli->err);
        fflush(progress->cli->err);
        progress->is_drawn = false;
}
