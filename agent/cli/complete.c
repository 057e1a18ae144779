#include <string.h>

#include "agent/cli/complete.h"

typedef struct Completion {
        FILE *stream;
        const char *typed; /* the word under the cursor */
        OptionSet sets[2];
} Completion;

static void offer(const Completion *completion, const char *before, const char *word) {
        char text[128];

        snprintf(text, sizeof(text), "%s%s", before, word);
        if (string_starts_with(text, completion->typed))
                fprintf(completion->stream, "%s\n", text);
}

static void offer_verbs(const Completion *completion, const Command *group) {
        for (const Command *const *verb = group->verbs; verb && *verb; verb++)
                if (!(*verb)->hidden)
                        offer(completion, "", (*verb)->name);
}

static void offer_options(const Completion *completion) {
        for (size_t i = 0; i < ELEMENTSOF(completion->sets); i++)
                for (const Option *option = completion->sets[i].options; option && option->name; option++) {
                        offer(completion, "--", option->name);
                        if (option->type == OPTION_SWITCH)
                                offer(completion, "--no-", option->name);
                }
}

static void offer_value(const Completion *completion, const Option *option) {
        if (option->type == OPTION_PATH || option->type == OPTION_PATHS)
                fprintf(completion->stream, "%s\n", COMPLETE_FILES);
}

/* The option whose value the word after PREVIOUS is, if it is one. */
static const Option *awaits_value(const Completion *completion, const char *previous) {
        OptionMatch match;
        bool found;

        if (!previous || previous[0] != '-' || previous[1] == '\0' || strchr(previous, '='))
                return NULL;
        if (previous[1] == '-')
                found = option_find(completion->sets, ELEMENTSOF(completion->sets), previous + 2,
                                    strlen(previous + 2), &match);
        else
                found = previous[2] == '\0' &&
                        option_find_letter(completion->sets, ELEMENTSOF(completion->sets), previous[1],
                                           &match);
        return found && option_takes_value(match.option) ? match.option : NULL;
}

int complete_print(const Command *root, const Option *globals, char *const *words, FILE *stream) {
        size_t n = strv_length(words), used;
        _cleanup_strv_ char **before = NULL;
        const Option *option;
        const Command *command;
        CommandPath path;

        for (size_t i = 0; i + 1 < n; i++)
                if (strv_append(&before, words[i]) < 0)
                        return -ENOMEM;
        used = command_walk(root, before, &path);
        command = command_last(&path);

        Completion completion = {
                .stream = stream,
                .typed = n > 0 ? words[n - 1] : "",
                .sets = { { .options = command->options }, { .options = globals } },
        };
        option = awaits_value(&completion, n > 1 ? words[n - 2] : NULL);
        if (option)
                offer_value(&completion, option);
        else if (completion.typed[0] == '-')
                offer_options(&completion);
        else if (command->verbs && used == strv_length(before))
                offer_verbs(&completion, command);
        else if (command->argument_kind == ARGUMENT_FILE)
                fprintf(stream, "%s\n", COMPLETE_FILES);
        return 0;
}
