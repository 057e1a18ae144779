#include <string.h>

#include "agent/base/buffer.h"
#include "agent/cli/command.h"
#include "agent/cli/suggest.h"

static const Command *find_verb(const Command *group, const char *word) {
        for (const Command *const *verb = group->verbs; verb && *verb; verb++)
                if (strcmp((*verb)->name, word) == 0)
                        return *verb;
        return NULL;
}

size_t command_walk(const Command *root, char *const *words, CommandPath *ret_path) {
        CommandPath path = { .commands = { root }, .n = 1 };
        size_t used = 0;

        while (words && words[used] && path.n < ELEMENTSOF(path.commands)) {
                const Command *verb = find_verb(command_last(&path), words[used]);
                if (!verb)
                        break;
                path.commands[path.n++] = verb;
                used++;
        }
        *ret_path = path;
        return used;
}

const Command *command_last(const CommandPath *path) {
        return path->commands[path->n - 1];
}

char *command_path_text(const CommandPath *path) {
        _cleanup_buffer_ Buffer text = {};
        char *ret;
        size_t size;

        for (size_t i = 0; i < path->n; i++)
                if (buffer_printf(&text, "%s%s", i > 0 ? " " : "", path->commands[i]->name) < 0)
                        return NULL;
        return buffer_steal(&text, &ret, &size) < 0 ? NULL : ret;
}

static const char *nearest_verb(const Command *group, const char *word) {
        const char *names[COMMAND_WORDS_MAX];
        size_t n = 0;

        for (const Command *const *verb = group->verbs; *verb && n < ELEMENTSOF(names); verb++)
                if (!(*verb)->hidden)
                        names[n++] = (*verb)->name;
        return suggest_nearest(word, names, n);
}

int command_refuse_word(const CommandPath *path, const char *word, Error *error) {
        _cleanup_free_ char *text = command_path_text(path);
        const char *nearest = nearest_verb(command_last(path), word);

        if (!text)
                return error_oom(error);
        if (nearest)
                return error_set_fault(error, -EINVAL, FAULT_INPUT,
                                       "there is no command \"%s %.64s\"; did you mean \"%s %s\"?", text,
                                       word, text, nearest);
        return error_set_fault(error, -EINVAL, FAULT_INPUT,
                               "there is no command \"%s %.64s\"; \"%s --help\" lists what there is", text,
                               word, text);
}

int command_check_arguments(const CommandPath *path, char *const *arguments, Error *error) {
        const Command *command = command_last(path);
        size_t n = strv_length(arguments);
        _cleanup_free_ char *text = command_path_text(path);

        if (!text)
                return error_oom(error);
        if (n < command->arguments_min)
                return error_set_fault(error, -EINVAL, FAULT_INPUT, "an argument is missing: %s %s", text,
                                       command->arguments);
        if (n > command->arguments_max)
                return error_set_fault(error, -EINVAL, FAULT_INPUT,
                                       "\"%.64s\" is one argument too many: %s%s%s",
                                       arguments[command->arguments_max], text, command->arguments ? " " : "",
                                       command->arguments ?: "");
        return 0;
}
