#pragma once

/* Options from tables: one row says how an option is written, what it takes, where its value goes and what help,
 * manual and completion say about it. Parsing is pure: arguments and environment in, values out.
 *
 * Written as --name VALUE, --name=VALUE, -n VALUE or -nVALUE; short switches may stand together (-qv); options and
 * arguments in any order; "--" ends the options; an option given twice is an error unless it is a list. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/base/error.h"
#include "agent/base/strv.h"

#define OPTION_LIST_MAX 256U  /* values of one list */
#define OPTION_LINE_MAX 1024U /* bytes of a text for people, as in documents */
#define OPTION_SEEN_MAX 64U   /* different options of one command line */

typedef enum OptionType {
        OPTION_FLAG,     /* bool; takes no value */
        OPTION_SWITCH,   /* bool; --name and --no-name */
        OPTION_TEXT,     /* const char *; anything but nothing */
        OPTION_LINE,     /* const char *; for people: one line of UTF-8, at most OPTION_LINE_MAX bytes */
        OPTION_PATH,     /* const char *; a file or a folder */
        OPTION_NAME,     /* const char *; of an app or a group: name_is_valid() */
        OPTION_VERSION,  /* const char *; version_is_valid() */
        OPTION_NUMBER,   /* OptionNumber */
        OPTION_DURATION, /* OptionNumber, microseconds */
        OPTION_LIST,     /* char **; may be given many times */
        OPTION_PATHS,    /* the same, of files */
} OptionType;

typedef struct OptionNumber {
        bool given;
        uint64_t value;
} OptionNumber;

/* Texts point into the arguments, the environment or the table; only lists are memory of their own. */
typedef struct Option {
        const char *name; /* "depot", without the dashes */
        char letter;      /* 0: none */
        OptionType type;
        size_t offset;           /* of the value in the command's structure */
        const char *value;       /* what help calls the value: "URI" */
        const char *help;        /* one sentence without its full stop */
        const char *initial;     /* what it is when nothing is said, in the option's own notation; or NULL */
        const char *environment; /* the variable that says it when the option does not; or NULL */
        bool required;
} Option;

/* The value's place in the command's structure; the end of a table. */
#define OPTION_INTO(type, member) .offset = offsetof(type, member)
#define OPTION_END                                                                                           \
        { .name = NULL }

/* A table and the structure that takes its values, zero-initialised by the caller. */
typedef struct OptionSet {
        const Option *options;
        void *values;
} OptionSet;

typedef const char *(*OptionEnvironment)(const char *name);

/* Reads ARGUMENTS (NULL-terminated, without the program's name) into the values of the N sets; what is no option
 * goes to RET_REST, in order. Values that were not given are then taken from the environment (GET, normally getenv;
 * may be NULL) and from the tables. With STOP_AT_WORD the first word that is no option ends the parsing, and RET_REST
 * begins with it. -EINVAL with a sentence that names the option and what was expected; -ENOMEM. */
int option_parse(const OptionSet sets[], size_t n, char *const arguments[], bool stop_at_word,
                 OptionEnvironment get, char ***ret_rest, Error *error);

/* -EINVAL if a required option has no value. */
int option_check_required(const OptionSet *set, Error *error);

/* Frees the lists. */
void option_release(const OptionSet *set);

bool option_takes_value(const Option *option);

typedef struct OptionMatch {
        const Option *option;
        void *values;
        bool off; /* --no-NAME */
} OptionMatch;

/* The row that NAME (LENGTH bytes, without the dashes), or LETTER, stands for. */
bool option_find(const OptionSet sets[], size_t n, const char *name, size_t length, OptionMatch *ret);
bool option_find_letter(const OptionSet sets[], size_t n, char letter, OptionMatch *ret);
