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

static const Option *takes_value(bool found, const OptionMatch *match) {
        return found && option_takes_value(match->option) ? match->option : NULL;
}

/* "--key=": the option whose value is being typed in the same word. */
static const Option *in_assignment(const Completion *completion) {
        const char *equals = strchr(completion->typed, '=');
        OptionMatch match;

        if (!string_starts_with(completion->typed, "--") || !equals)
                return NULL;
        return takes_value(option_find(completion->sets, ELEMENTSOF(completion->sets), completion->typed + 2,
                                       (size_t) (equals - completion->typed) - 2, &match),
                           &match);
}

/* "--key" or "-k" before it: the option whose value the word is. */
static const Option *after_option(const Completion *completion, const char *previous) {
        const OptionSet *sets = completion->sets;
        OptionMatch match;

        if (!previous || previous[0] != '-')
                return NULL;
        if (previous[1] == '-')
                return takes_value(option_find(sets, ELEMENTSOF(completion->sets), previous + 2,
                                               strlen(previous + 2), &match),
                                   &match);
        if (previous[1] == '\0' || previous[2] != '\0')
                return NULL;
        return takes_value(option_find_letter(sets, ELEMENTSOF(completion->sets), previous[1], &match),
                           &match);
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
        option = in_assignment(&completion) ?: after_option(&completion, n > 1 ? words[n - 2] : NULL);
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
