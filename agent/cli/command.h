#pragma once

/* The command line as data: a tree of verbs, each with its options, arguments and examples. Dispatch, --help and
 * completion read the same tables. */

#include <stdio.h>

#include "agent/base/error.h"
#include "agent/cli/cli.h"
#include "agent/cli/option.h"

#define COMMAND_DEPTH_MAX 3U
#define COMMAND_WORDS_MAX 64U /* verbs of one level */

/* What an argument is, for completion. */
typedef enum ArgumentKind {
        ARGUMENT_WORD, /* nothing to complete */
        ARGUMENT_FILE,
        ARGUMENT_COMMAND, /* a verb */
} ArgumentKind;

typedef struct Example {
        const char *purpose; /* "Publish a folder." */
        const char *line;    /* "muster publish ./api --app api --version 1.4.2" */
} Example;

/* What a command says of its arguments that takes just one file. */
#define COMMAND_TAKES_FILE                                                                                   \
        .arguments = "FILE", .arguments_min = 1, .arguments_max = 1, .argument_kind = ARGUMENT_FILE

typedef struct Command Command;
struct Command {
        const char *name;
        const char *heading;     /* under which the list of all commands has it, from here on; or NULL */
        const char *summary;     /* one line, without a full stop */
        const char *description; /* paragraphs, or NULL */
        const char *arguments;   /* as usage writes them: "DIR|ARCHIVE"; NULL: none */
        unsigned arguments_min, arguments_max;
        ArgumentKind argument_kind;
        const Option *options;   /* or NULL */
        size_t values_size;      /* of the structure that takes them */
        const Example *examples; /* ends with a NULL purpose; or NULL */
        bool hidden;

        const Command *const *verbs; /* NULL-terminated: this is a group of verbs and has no run() */

        /* 0, a negative errno with its sentence, or an ExitCode that was explained already. */
        int (*run)(Cli *cli, void *values, char **arguments, Error *error);
};

/* Walks down from ROOT along WORDS; RET_PATH takes the commands passed, the last one being the result; returns how
 * many words were used up. */
typedef struct CommandPath {
        const Command *commands[COMMAND_DEPTH_MAX + 1];
        size_t n; /* at least 1: the root */
} CommandPath;

size_t command_walk(const Command *root, char *const *words, CommandPath *ret_path);
const Command *command_last(const CommandPath *path);

/* "there is no command "pubish"; did you mean publish?"; -EINVAL. */
int command_refuse_word(const CommandPath *path, const char *word, Error *error);

/* "after "muster show" comes one of: release, target"; -EINVAL. */
int command_refuse_group(const CommandPath *path, Error *error);

/* "there is no --version of an app here: muster rollback APP GROUP"; -EINVAL. */
int command_refuse_version(const CommandPath *path, Error *error);

/* Checks the count of ARGUMENTS. -EINVAL. */
int command_check_arguments(const CommandPath *path, char *const *arguments, Error *error);

/* "muster key generate", new memory or NULL. */
char *command_path_text(const CommandPath *path);
