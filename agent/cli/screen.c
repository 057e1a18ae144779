#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "agent/base/utf8.h"
#include "agent/cli/screen.h"

#define HOME "\033[H"
#define CLEAR_LINE "\033[K"
#define CLEAR_BELOW "\033[J"
#define STYLE_OFF "\033[0m"

#define ROWS_DEFAULT 24U
#define COLUMNS_DEFAULT 80U

/* The length of the escape sequence at P (ECMA-48, CSI), 0: there is none. */
static size_t escape_length(const char *p) {
        size_t n;

        if (p[0] != '\033' || p[1] != '[')
                return 0;
        n = 2 + strspn(p + 2, "0123456789;");
        return p[n] && p[n] != '\n' ? n + 1 : 0;
}

/* One line, up to its line feed, cut where it gets too wide. */
static int add_line(Buffer *page, const char *line, size_t size, unsigned columns) {
        unsigned width = 0;
        int r = 0;

        for (size_t i = 0, n; i < size && r >= 0; i += n) {
                size_t escape = escape_length(line + i);

                n = escape ?: MAX(utf8_sequence(line + i, size - i), (size_t) 1);
                if (!escape && width++ >= columns)
                        return buffer_printf(page, STYLE_OFF);
                r = buffer_append(page, line + i, n, SIZE_MAX);
        }
        return r;
}

static size_t count_lines(const char *text) {
        size_t n = 0;

        for (; (text = strchr(text, '\n')); text++)
                n++;
        return n;
}

int screen_compose(const char *text, unsigned rows, unsigned columns, Buffer *ret) {
        size_t lines = count_lines(text), shown = lines < rows ? lines : rows > 1 ? rows - 2 : 0;
        int r;

        r = buffer_printf(ret, HOME);
        for (size_t i = 0; i < shown && r >= 0; i++) {
                size_t n = strcspn(text, "\n");

                r = add_line(ret, text, n, columns);
                if (r >= 0)
                        r = buffer_printf(ret, CLEAR_LINE "\n");
                text += n + 1;
        }
        if (r >= 0 && shown < lines)
                r = buffer_printf(ret, "and %zu more" CLEAR_LINE "\n", lines - shown);
        return r < 0 ? r : buffer_printf(ret, CLEAR_BELOW);
}

int screen_draw(FILE *stream, const char *text) {
        _cleanup_buffer_ Buffer page = {};
        struct winsize size = {};
        int r;

        (void) ioctl(fileno(stream), TIOCGWINSZ, &size);
        r = screen_compose(text, size.ws_row ?: ROWS_DEFAULT, size.ws_col ?: COLUMNS_DEFAULT, &page);
        if (r < 0)
                return r;
        fputs(buffer_string(&page), stream);
        (void) fflush(stream);
        return 0;
}

int screen_show(FILE *stream, const Style *style, const char *problem, ScreenPrint print,
                const void *userdata, Error *error) {
        _cleanup_free_ char *text = NULL;
        size_t size;
        FILE *page = open_memstream(&text, &size);
        int r;

        if (!page)
                return error_oom(error);
        if (*problem)
                fprintf(page, "%s%s%s\n", style->bad, problem, style->off);
        r = print(page, userdata);
        if (fclose(page) != 0 || r < 0 || screen_draw(stream, text) < 0)
                return error_oom(error);
        return 0;
}
