#include <string.h>

#include "agent/base/parse.h"
#include "agent/base/suggest.h"
#include "agent/base/utf8.h"
#include "agent/cli/option.h"

#define OPTION_WORDS_MAX 128U /* names that a suggestion is chosen from */

#define OPTION_FOREACH(o, table) for (const Option *o = (table); o && o->name; o++)

bool option_takes_value(const Option *option) {
        return option->type != OPTION_FLAG && option->type != OPTION_SWITCH;
}

static bool name_matches(const char *name, const char *typed, size_t length) {
        return strlen(name) == length && memcmp(name, typed, length) == 0;
}

bool option_find(const OptionSet sets[], size_t n, const char *name, size_t length, OptionMatch *ret) {
        bool off = length > 3 && string_starts_with(name, "no-");

        for (size_t i = 0; i < n; i++)
                OPTION_FOREACH(option, sets[i].options) {
                        if (name_matches(option->name, name, length)) {
                                *ret = (OptionMatch){ option, sets[i].values, false };
                                return true;
                        }
                        if (off && option->type == OPTION_SWITCH &&
                            name_matches(option->name, name + 3, length - 3)) {
                                *ret = (OptionMatch){ option, sets[i].values, true };
                                return true;
                        }
                }
        return false;
}

bool option_find_letter(const OptionSet sets[], size_t n, char letter, OptionMatch *ret) {
        for (size_t i = 0; i < n; i++)
                OPTION_FOREACH(option, sets[i].options)
        if (option->letter == letter) {
                *ret = (OptionMatch){ option, sets[i].values, false };
                return true;
        }
        return false;
}

/* Values. */

static int set_text(void *value, const char *text) {
        if (*text == '\0')
                return -EINVAL;
        *(const char **) value = text;
        return 0;
}

static int set_line(void *value, const char *text) {
        bool whole = strlen(text) <= OPTION_LINE_MAX && utf8_is_valid(text);

        for (const char *p = text; *p; p++)
                whole = whole && (unsigned char) *p >= ' ' && *p != 0x7f;
        return whole ? set_text(value, text) : -EINVAL;
}

static int set_name(void *value, const char *text) {
        return name_is_valid(text) ? set_text(value, text) : -EINVAL;
}

static int set_version(void *value, const char *text) {
        return version_is_valid(text) ? set_text(value, text) : -EINVAL;
}

static int set_number(void *value, const char *text) {
        OptionNumber *number = value;
        int r;

        r = parse_u64(text, &number->value);
        number->given = r >= 0;
        return r;
}

static int set_duration(void *value, const char *text) {
        OptionNumber *number = value;
        int r;

        r = parse_duration(text, &number->value);
        number->given = r >= 0;
        return r;
}

static int set_list(void *value, const char *text) {
        char ***list = value;

        if (*text == '\0' || strv_length(*list) >= OPTION_LIST_MAX)
                return -EINVAL;
        return strv_append(list, text);
}

static int set_switch(void *value, const char *text) {
        return parse_boolean(text, value);
}

static const struct {
        int (*set)(void *value, const char *text);
        const char *expected;
} types[] = {
        [OPTION_FLAG] = { set_switch, "yes or no" },
        [OPTION_SWITCH] = { set_switch, "yes or no" },
        [OPTION_TEXT] = { set_text, "a text that is not empty" },
        [OPTION_LINE] = { set_line, "one line of text, at most 1024 bytes of UTF-8" },
        [OPTION_PATH] = { set_text, "a path" },
        [OPTION_NAME] = { set_name,
                          "1 to 64 letters, digits, \".\", \"_\" or \"-\", a letter or digit first" },
        [OPTION_VERSION] = { set_version,
                             "1 to 64 letters, digits, \".\", \"_\", \"-\", \"+\" or \"~\", a letter or digit first" },
        [OPTION_NUMBER] = { set_number, "a whole number" },
        [OPTION_DURATION] = { set_duration, "a duration such as 90s, 12h or 30d" },
        [OPTION_LIST] = { set_list, "a text that is not empty, at most 256 times" },
        [OPTION_PATHS] = { set_list, "a path, at most 256 times" },
};

static void *value_of(const Option *option, void *values) {
        return (char *) values + option->offset;
}

static bool has_value(const Option *option, const void *values) {
        const char *value = (const char *) values + option->offset;

        switch (option->type) {
        case OPTION_FLAG:
        case OPTION_SWITCH:
                return false;
        case OPTION_NUMBER:
        case OPTION_DURATION:
                return ((const OptionNumber *) value)->given;
        case OPTION_LIST:
        case OPTION_PATHS:
                return *(char **const *) value != NULL;
        default:
                return *(const char *const *) value != NULL;
        }
}

static int assign(const Option *option, void *values, const char *text, const char *source, Error *error) {
        int r;

        r = types[option->type].set(value_of(option, values), text);
        if (r == -ENOMEM)
                return error_oom(error);
        if (r < 0)
                return error_set_fault(error, -EINVAL, FAULT_INPUT, "%s is \"%.64s\", expected %s", source,
                                       text, types[option->type].expected);
        return 0;
}

/* One command line. */

typedef struct Parser {
        const OptionSet *sets;
        size_t n_sets;
        char *const *next; /* the argument to read next */
        const Option *seen[OPTION_SEEN_MAX];
        size_t n_seen;
        Error *error;
} Parser;

static int refuse(Parser *parser, const char *format, const char *name) {
        return error_set_fault(parser->error, -EINVAL, FAULT_INPUT, format, name);
}

static bool was_seen(const Parser *parser, const Option *option) {
        for (size_t i = 0; i < parser->n_seen; i++)
                if (parser->seen[i] == option)
                        return true;
        return false;
}

static int take(Parser *parser, const OptionMatch *match, const char *text) {
        const Option *option = match->option;
        char source[96];

        if (option->type != OPTION_LIST && option->type != OPTION_PATHS && was_seen(parser, option))
                return refuse(parser, "--%s is given twice", option->name);
        if (!was_seen(parser, option)) {
                if (parser->n_seen >= OPTION_SEEN_MAX)
                        return refuse(parser, "too many options, at --%s", option->name);
                parser->seen[parser->n_seen++] = option;
        }
        snprintf(source, sizeof(source), "--%s", option->name);
        return assign(option, match->values, text, source, parser->error);
}

static int take_with_value(Parser *parser, const OptionMatch *match, const char *attached) {
        const Option *option = match->option;

        if (!option_takes_value(option))
                return take(parser, match, match->off ? "no" : "yes");
        if (attached)
                return take(parser, match, attached);
        if (!*parser->next)
                return error_set_fault(parser->error, -EINVAL, FAULT_INPUT, "--%s needs a value: --%s %s",
                                       option->name, option->name, option->value);
        return take(parser, match, *parser->next++);
}

static const char *nearest_option(const Parser *parser, const char *typed) {
        const char *words[OPTION_WORDS_MAX];
        size_t n = 0;

        for (size_t i = 0; i < parser->n_sets; i++)
                OPTION_FOREACH(option, parser->sets[i].options)
        if (n < ELEMENTSOF(words))
                words[n++] = option->name;
        return suggest_nearest(typed, words, n);
}

static int take_long(Parser *parser, const char *argument) {
        _cleanup_free_ char *typed = NULL;
        const char *equals = strchr(argument, '=');
        const char *nearest;
        OptionMatch match;

        typed = equals ? strndup(argument, (size_t) (equals - argument)) : strdup(argument);
        if (!typed)
                return error_oom(parser->error);
        if (option_find(parser->sets, parser->n_sets, typed, strlen(typed), &match)) {
                if (equals && !option_takes_value(match.option))
                        return refuse(parser, "--%s takes no value", match.option->name);
                return take_with_value(parser, &match, equals ? equals + 1 : NULL);
        }
        nearest = nearest_option(parser, typed);
        if (nearest)
                return error_set_fault(parser->error, -EINVAL, FAULT_INPUT,
                                       "there is no option --%.64s here; did you mean --%s?", typed, nearest);
        return refuse(parser, "there is no option --%.64s here", typed);
}

/* ARGUMENT is the text after the dash: switches, and perhaps one option with its value. */
static int take_letters(Parser *parser, const char *argument) {
        for (const char *p = argument; *p; p++) {
                char name[2] = { *p, '\0' };
                OptionMatch match;
                int r;

                if (!option_find_letter(parser->sets, parser->n_sets, *p, &match))
                        return refuse(parser, "there is no option -%s here", name);
                if (option_takes_value(match.option))
                        return take_with_value(parser, &match, p[1] ? p + 1 : NULL);
                r = take(parser, &match, "yes");
                if (r < 0)
                        return r;
        }
        return 0;
}

static int parse_arguments(Parser *parser, bool stop_at_word, char ***rest) {
        while (*parser->next) {
                const char *argument = *parser->next;
                bool is_word = argument[0] != '-' || argument[1] == '\0';
                int r;

                if (is_word && stop_at_word)
                        break;
                parser->next++;
                if (strcmp(argument, "--") == 0)
                        break;
                if (is_word)
                        r = strv_append(rest, argument) < 0 ? error_oom(parser->error) : 0;
                else if (argument[1] == '-')
                        r = take_long(parser, argument + 2);
                else
                        r = take_letters(parser, argument + 1);
                if (r < 0)
                        return r;
        }
        for (; *parser->next; parser->next++)
                if (strv_append(rest, *parser->next) < 0)
                        return error_oom(parser->error);
        return 0;
}

/* What the command line left open: first the environment, then the table. */
static int fill_option(const Parser *parser, const Option *option, void *values, OptionEnvironment get) {
        const char *text = NULL, *source = option->name;

        if (was_seen(parser, option) || has_value(option, values))
                return 0;
        if (get && option->environment)
                text = get(option->environment);
        if (text && *text)
                source = option->environment;
        else
                text = option->initial;
        return text ? assign(option, values, text, source, parser->error) : 0;
}

static int fill(const Parser *parser, OptionEnvironment get) {
        for (size_t i = 0; i < parser->n_sets; i++)
                OPTION_FOREACH(option, parser->sets[i].options) {
                        int r = fill_option(parser, option, parser->sets[i].values, get);
                        if (r < 0)
                                return r;
                }
        return 0;
}

int option_parse(const OptionSet sets[], size_t n, char *const arguments[], bool stop_at_word,
                 OptionEnvironment get, char ***ret_rest, Error *error) {
        _cleanup_strv_ char **rest = NULL;
        Parser parser = { .sets = sets, .n_sets = n, .next = arguments, .error = error };
        int r;

        r = parse_arguments(&parser, stop_at_word, &rest);
        if (r < 0)
                return r;
        r = fill(&parser, get);
        if (r < 0)
                return r;
        *ret_rest = TAKE_PTR(rest);
        return 0;
}

int option_check_required(const OptionSet *set, Error *error) {
        OPTION_FOREACH(option, set->options)
        if (option->required && !has_value(option, set->values))
                return error_set_fault(error, -EINVAL, FAULT_INPUT, "--%s %s is missing%s%s", option->name,
                                       option->value, option->environment ? "; it may also stand in " : "",
                                       option->environment ? option->environment : "");
        return 0;
}

void option_release(const OptionSet *set) {
        OPTION_FOREACH(option, set->options)
        if (option->type == OPTION_LIST || option->type == OPTION_PATHS) {
                char ***list = value_of(option, set->values);
                *list = strv_free(*list);
        }
}
