#include <string.h>

#include "agent/base/buffer.h"
#include "agent/cli/help.h"

#define HELP_COLUMNS_MAX 100U /* longer lines are hard to read */
#define HELP_GUTTER 2U
#define HELP_LABEL_MAX 30U /* a longer label has its text on the next line */

static void pad(FILE *stream, unsigned n) {
        fprintf(stream, "%*s", (int) n, "");
}

void help_wrap(FILE *stream, const char *text, unsigned indent, unsigned at, unsigned columns) {
        for (const char *p = text; *p;) {
                unsigned gap = (unsigned) strspn(p, " "), word = (unsigned) strcspn(p + gap, " \n");

                if (at > indent && at + gap + word > columns) {
                        fputc('\n', stream);
                        at = 0;
                }
                if (word > 0 && at < indent)
                        pad(stream, indent - at);
                if (word > 0) {
                        pad(stream, at > indent ? gap : 0);
                        fwrite(p + gap, 1, word, stream);
                        at = (at > indent ? at + gap : indent) + word;
                }
                p += gap + word;
                if (*p == '\n') {
                        fputc('\n', stream);
                        at = 0;
                        p++;
                }
        }
        fputc('\n', stream);
}

typedef struct Page {
        FILE *stream;
        const Style *style;
        unsigned columns;
        unsigned label_width;
} Page;

static void print_heading(const Page *page, const char *text) {
        fprintf(page->stream, "\n%s%s:%s\n", page->style->strong, text, page->style->off);
}

static void print_row(const Page *page, const char *label, const char *text) {
        unsigned indent = page->label_width + 2 * HELP_GUTTER;
        unsigned at = HELP_GUTTER + (unsigned) strlen(label);

        fprintf(page->stream, "%*s%s", (int) HELP_GUTTER, "", label);
        if (at + HELP_GUTTER > indent) {
                fputc('\n', page->stream);
                at = 0;
        }
        pad(page->stream, indent - at);
        help_wrap(page->stream, text, indent, indent, page->columns);
}

/* Options. */

static void option_label(const Option *option, char *label, size_t size) {
        char letter[5] = "    ";

        if (option->letter)
                snprintf(letter, sizeof(letter), "-%c, ", option->letter);
        snprintf(label, size, "%s--%s%s%s%s", letter, option->type == OPTION_SWITCH ? "[no-]" : "",
                 option->name, option_takes_value(option) ? " " : "",
                 option_takes_value(option) ? option->value : "");
}

static void option_text(const Option *option, char *text, size_t size) {
        size_t n = (size_t) snprintf(text, size, "%s", option->help);

        if (option->initial && option_takes_value(option) && n < size)
                n += (size_t) snprintf(text + n, size - n, " (otherwise %s)", option->initial);
        if (option->environment && n < size)
                snprintf(text + n, size - n, " [%s]", option->environment);
}

static void print_options(Page *page, const char *heading, const Option *options) {
        char label[96], text[512];

        if (!options || !options->name)
                return;
        print_heading(page, heading);
        page->label_width = 0;
        for (const Option *option = options; option->name; option++) {
                option_label(option, label, sizeof(label));
                if (strlen(label) <= HELP_LABEL_MAX)
                        page->label_width = MAX(page->label_width, (unsigned) strlen(label));
        }
        for (const Option *option = options; option->name; option++) {
                option_label(option, label, sizeof(label));
                option_text(option, text, sizeof(text));
                print_row(page, label, text);
        }
}

/* Verbs: a list of all that can be run below a group, by their full names. */

typedef void (*VerbFunction)(Page *page, const Command *verb, const char *name);

static void for_each_verb(Page *page, const Command *group, const char *prefix, VerbFunction function) {
        for (const Command *const *verb = group->verbs; *verb; verb++) {
                char name[64];

                if ((*verb)->hidden)
                        continue;
                snprintf(name, sizeof(name), "%s%s%s", prefix, *prefix ? " " : "", (*verb)->name);
                function(page, *verb, name);
                if ((*verb)->verbs)
                        for_each_verb(page, *verb, name, function);
        }
}

static void measure_verb(Page *page, const Command *verb, const char *name) {
        if (!verb->verbs)
                page->label_width = MAX(page->label_width, (unsigned) strlen(name));
}

static void print_verb(Page *page, const Command *verb, const char *name) {
        if (verb->heading)
                print_heading(page, verb->heading);
        if (!verb->verbs)
                print_row(page, name, verb->summary);
}

static void print_verbs(Page *page, const Command *group) {
        page->label_width = 0;
        for_each_verb(page, group, "", measure_verb);
        if (!group->verbs[0]->heading)
                print_heading(page, "Commands");
        for_each_verb(page, group, "", print_verb);
}

/* The usage line names what is required and leaves the rest to the list below it. */
static void print_usage(const Page *page, const Command *command, const char *name) {
        _cleanup_buffer_ Buffer text = {};
        bool more = false;

        print_heading(page, "Usage");
        if (buffer_printf(&text, "%s%s%s%s", name, command->verbs ? " COMMAND" : "",
                          command->arguments ? " " : "", command->arguments ?: "") < 0)
                return;
        for (const Option *option = command->options; option && option->name; option++)
                if (!option->required)
                        more = true;
                else if (buffer_printf(&text, " --%s %s", option->name, option->value) < 0)
                        return;
        if (more && buffer_printf(&text, " [OPTION...]") < 0)
                return;
        pad(page->stream, HELP_GUTTER);
        help_wrap(page->stream, buffer_string(&text), HELP_GUTTER, HELP_GUTTER, page->columns);
}

/* A long command line is continued by backslash and line feed. */
static void print_command_line(const Page *page, const char *line) {
        for (const char *p = line; *p;) {
                size_t n = strcspn(p, "\n");

                fprintf(page->stream, "%*s%.*s\n", (int) (p == line ? HELP_GUTTER : 3 * HELP_GUTTER), "",
                        (int) n, p);
                p += n + (p[n] == '\n');
        }
}

static void print_examples(const Page *page, const Example *examples) {
        if (!examples)
                return;
        print_heading(page, "Examples");
        for (const Example *example = examples; example->purpose; example++) {
                if (example != examples)
                        fputc('\n', page->stream);
                fprintf(page->stream, "%*s%s# %s%s\n", (int) HELP_GUTTER, "", page->style->faint,
                        example->purpose, page->style->off);
                print_command_line(page, example->line);
        }
}

void help_print(const CommandPath *path, const Option *globals, FILE *stream, const Style *style,
                unsigned columns) {
        const Command *command = command_last(path);
        _cleanup_free_ char *name = command_path_text(path);
        Page page = { .stream = stream, .style = style, .columns = MIN(columns, HELP_COLUMNS_MAX) };

        if (!name)
                return;
        fprintf(stream, "%s%s%s - %s\n", style->strong, name, style->off, command->summary);
        print_usage(&page, command, name);
        if (command->description) {
                fputc('\n', stream);
                help_wrap(stream, command->description, 0, 0, page.columns);
        }
        if (command->verbs)
                print_verbs(&page, command);
        print_options(&page, "Options", command->options);
        print_options(&page, "Options of every command", globals);
        print_examples(&page, command->examples);
}
