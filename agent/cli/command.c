#include <string.h>

#include "agent/base/buffer.h"
#include "agent/base/suggest.h"
#include "agent/cli/command.h"

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

/* "init" alone was meant as "root init". */
static const Command *group_that_has(const Command *root, const char *word) {
        for (const Command *const *verb = root->verbs; verb && *verb; verb++)
                if (find_verb(*verb, word))
                        return *verb;
        return NULL;
}

int command_refuse_word(const CommandPath *path, const char *word, Error *error) {
        _cleanup_free_ char *text = command_path_text(path);
        const char *nearest = nearest_verb(command_last(path), word);
        const Command *group = group_that_has(command_last(path), word);

        if (!text)
                return error_oom(error);
        if (group)
                return error_set_fault(error, -EINVAL, FAULT_INPUT,
                                       "there is no command \"%s %.64s\"; did you mean \"%s %s %.64s\"?",
                                       text, word, text, group->name, word);
        if (nearest)
                return error_set_fault(error, -EINVAL, FAULT_INPUT,
                                       "there is no command \"%s %.64s\"; did you mean \"%s %s\"?", text,
                                       word, text, nearest);
        return error_set_fault(error, -EINVAL, FAULT_INPUT,
                               "there is no command \"%s %.64s\"; \"%s --help\" lists what there is", text,
                               word, text);
}

int command_refuse_group(const CommandPath *path, Error *error) {
        const Command *group = command_last(path);
        _cleanup_free_ char *text = command_path_text(path);
        _cleanup_buffer_ Buffer names = {};
        int r = 0;

        for (const Command *const *verb = group->verbs; *verb && r >= 0; verb++)
                if (!(*verb)->hidden)
                        r = buffer_printf(&names, "%s%s", names.size > 0 ? ", " : "", (*verb)->name);
        if (!text || r < 0)
                return error_oom(error);
        return error_set_fault(error, -EINVAL, FAULT_INPUT, "after \"%s\" comes one of: %s", text,
                               buffer_string(&names));
}

int command_refuse_version(const CommandPath *path, Error *error) {
        const char *arguments = command_last(path)->arguments;
        _cleanup_free_ char *text = command_path_text(path);

        if (!text)
                return error_oom(error);
        return error_set_fault(error, -EINVAL, FAULT_INPUT, "there is no --version of an app here: %s%s%s",
                               text, arguments ? " " : "", arguments ?: "");
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
