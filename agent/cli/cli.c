#include <stdarg.h>
#include <string.h>
#include <sys/ioctl.h>

#include "agent/base/utf8.h"
#include "agent/cli/cli.h"

#define COLUMNS_DEFAULT 80U
#define COLUMNS_MIN 40U

static const Style style_colour = {
        .strong = "\033[1m",
        .good = "\033[32m",
        .bad = "\033[1;31m",
        .faint = "\033[2m",
        .off = "\033[0m",
};

static const Style style_plain = { "", "", "", "", "" };

/* https://no-color.org: any value that is not empty. */
static bool wants_colour(FILE *stream) {
        const char *no_color = getenv("NO_COLOR"), *term = getenv("TERM");

        return isatty(fileno(stream)) && !(no_color && *no_color) && !(term && strcmp(term, "dumb") == 0);
}

static unsigned terminal_columns(FILE *stream) {
        struct winsize size;

        if (ioctl(fileno(stream), TIOCGWINSZ, &size) < 0 || size.ws_col == 0)
                return COLUMNS_DEFAULT;
        return MAX((unsigned) size.ws_col, COLUMNS_MIN);
}

void cli_init(Cli *cli, FILE *out, FILE *err) {
        *cli = (Cli){
                .out = out,
                .err = err,
                .out_style = wants_colour(out) ? style_colour : style_plain,
                .err_style = wants_colour(err) ? style_colour : style_plain,
                .err_is_terminal = isatty(fileno(err)),
                .columns = terminal_columns(isatty(fileno(out)) ? out : err),
                .clock = &clock_system,
        };
}

static const struct {
        int error;
        ExitCode code;
} exit_codes[] = {
        { EDESTADDRREQ, EXIT_CODE_USAGE }, /* what the command is about was not said */
        { EINVAL, EXIT_CODE_INPUT },
        { EBADMSG, EXIT_CODE_INPUT },
        { EPROTO, EXIT_CODE_INPUT },
        { EPROTONOSUPPORT, EXIT_CODE_INPUT },
        { E2BIG, EXIT_CODE_INPUT },
        { EFBIG, EXIT_CODE_INPUT },
        { ERANGE, EXIT_CODE_INPUT },
        { EOVERFLOW, EXIT_CODE_INPUT },
        { EILSEQ, EXIT_CODE_INPUT },
        { ENOEXEC, EXIT_CODE_INPUT },
        { EISDIR, EXIT_CODE_INPUT },
        { ENOTDIR, EXIT_CODE_INPUT },
        { ELOOP, EXIT_CODE_INPUT },
        { ENAMETOOLONG, EXIT_CODE_INPUT },
        { EACCES, EXIT_CODE_DENIED },
        { EPERM, EXIT_CODE_DENIED },
        { ENOKEY, EXIT_CODE_DENIED },
        { EKEYREJECTED, EXIT_CODE_DENIED },
        { EKEYEXPIRED, EXIT_CODE_DENIED },
        { ENOENT, EXIT_CODE_NOT_FOUND },
        { EEXIST, EXIT_CODE_CONFLICT },
        { ESTALE, EXIT_CODE_CONFLICT },
        { ENETDOWN, EXIT_CODE_UNREACHABLE },
        { ENETUNREACH, EXIT_CODE_UNREACHABLE },
        { EHOSTDOWN, EXIT_CODE_UNREACHABLE },
        { EHOSTUNREACH, EXIT_CODE_UNREACHABLE },
        { ECONNREFUSED, EXIT_CODE_UNREACHABLE },
        { ECONNRESET, EXIT_CODE_UNREACHABLE },
        { ECONNABORTED, EXIT_CODE_UNREACHABLE },
        { ENOTCONN, EXIT_CODE_UNREACHABLE },
        { ETIMEDOUT, EXIT_CODE_UNREACHABLE },
};

ExitCode cli_exit_code(int r) {
        if (r >= 0)
                return (ExitCode) r;
        for (size_t i = 0; i < ELEMENTSOF(exit_codes); i++)
                if (exit_codes[i].error == -r)
                        return exit_codes[i].code;
        return EXIT_CODE_FAILED;
}

/* One line, whatever a file name or a server's answer brought with it. */
static void print_line(const Cli *cli, const char *style, const char *label, char *text) {
        utf8_make_printable(text, strlen(text));
        for (char *p = text; (p = strchr(p, '\n'));)
                *p = ' ';
        fprintf(cli->err, "%s%s%s %s\n", style, label, cli->err_style.off, text);
}

void cli_print_error(const Cli *cli, const Error *error) {
        char text[ERROR_MESSAGE_MAX];

        memcpy(text, error->message, sizeof(text));
        text[sizeof(text) - 1] = '\0';
        print_line(cli, cli->err_style.bad, "muster:", text);
}

void cli_warn(const Cli *cli, const char *format, ...) {
        char text[ERROR_MESSAGE_MAX];
        va_list arguments;

        va_start(arguments, format);
        (void) vsnprintf(text, sizeof(text), format, arguments);
        va_end(arguments);
        print_line(cli, cli->err_style.strong, "muster: warning:", text);
}

void cli_say(const Cli *cli, const char *format, ...) {
        va_list arguments;

        if (cli->quiet || cli->json)
                return;
        va_start(arguments, format);
        vfprintf(cli->out, format, arguments);
        va_end(arguments);
        fputc('\n', cli->out);
}
