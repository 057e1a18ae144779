#include <string.h>

#include "agent/base/strv.h"
#include "agent/files_journal.h"
#include "agent/files_text.h"

static const char *const kinds[FILES_OPERATION_KINDS] = {
        [FILES_NEW] = "new",       [FILES_REPLACE] = "replace", [FILES_REMOVE] = "remove",
        [FILES_CHANGE] = "change", [FILES_FORGET] = "forget",
};

void files_journal_deinit(FilesJournal *journal) {
        for (size_t i = 0; i < journal->n; i++) {
                free(journal->operations[i].path);
                files_attributes_deinit(&journal->operations[i].attributes_before);
                files_attributes_deinit(&journal->operations[i].attributes_after);
        }
        free(journal->operations);
        free(journal->deployment);
        free(journal->release);
        files_list_deinit(&journal->installed);
        *journal = (FilesJournal){};
}

ssize_t files_journal_add(FilesJournal *journal, FilesOperationKind kind, const char *path) {
        FilesOperation *operations;

        if (journal->n == journal->allocated) {
                size_t allocated = journal->allocated > 0 ? journal->allocated * 2 : 64;

                operations = reallocarray(journal->operations, allocated, sizeof(*operations));
                if (!operations)
                        return -ENOMEM;
                journal->operations = operations;
                journal->allocated = allocated;
        }
        journal->operations[journal->n] = (FilesOperation){ .kind = kind, .path = strdup(path) };
        if (!journal->operations[journal->n].path)
                return -ENOMEM;
        return (ssize_t) ++journal->n;
}

void files_journal_new_name(const FilesJournal *journal, size_t number, char ret[static FILES_NAME_SIZE]) {
        (void) snprintf(ret, FILES_NAME_SIZE, "%s-%zu", journal->mark, number);
}

void files_journal_old_name(const FilesJournal *journal, size_t number, char ret[static FILES_NAME_SIZE]) {
        (void) snprintf(ret, FILES_NAME_SIZE, "%s-%zu.old", journal->mark, number);
}

static int write_change(const FilesOperation *operation, Buffer *buffer) {
        const FilesRights *before = &operation->before, *after = &operation->after;
        int r;

        r = buffer_printf(buffer, "change\t%s\t%04o\t%u\t%u\t%04o\t%u\t%u\n", operation->path,
                          (unsigned) before->mode, (unsigned) before->uid, (unsigned) before->gid,
                          (unsigned) after->mode, (unsigned) after->uid, (unsigned) after->gid);
        for (size_t i = 0; i < FILES_ATTRIBUTES && r >= 0; i++)
                if (operation->attributes_after.values[i])
                        r = buffer_printf(buffer, "attribute\t%zu\t%s\t%s\n", i,
                                          operation->attributes_before.values[i],
                                          operation->attributes_after.values[i]);
        return r;
}

static int write_operation(const FilesOperation *operation, Buffer *buffer) {
        if (operation->kind == FILES_CHANGE)
                return write_change(operation, buffer);
        return buffer_printf(buffer, "%s\t%s\n", kinds[operation->kind], operation->path);
}

int files_journal_write(const FilesJournal *journal, Buffer *buffer) {
        int r = buffer_printf(buffer, FILES_JOURNAL_HEADER "deployment\t%s\nrelease\t%s\nmark\t%s\n",
                              journal->deployment, journal->release, journal->mark);

        for (size_t i = 0; i < journal->n && r >= 0; i++)
                r = write_operation(journal->operations + i, buffer);
        if (r >= 0)
                r = buffer_printf(buffer, "installed\n");
        return r < 0 ? r : files_list_write(&journal->installed, buffer);
}

/* Reading */

static int read_rights(char *const *fields, FilesRights *ret) {
        uint64_t mode, uid, gid;

        if (files_text_number(fields[0], 8, 07777, &mode) < 0 ||
            files_text_number(fields[1], 10, UINT32_MAX - 1, &uid) < 0 ||
            files_text_number(fields[2], 10, UINT32_MAX - 1, &gid) < 0)
                return -EBADMSG;
        *ret = (FilesRights){ .mode = (mode_t) mode, .uid = (uid_t) uid, .gid = (gid_t) gid };
        return 0;
}

static int read_operation(FilesJournal *journal, char **fields, size_t n) {
        FilesOperationKind kind = 0;
        FilesOperation *operation;
        ssize_t number;
        int r;

        while (kind < FILES_OPERATION_KINDS && strcmp(kinds[kind], fields[0]) != 0)
                kind++;
        if (kind == FILES_OPERATION_KINDS || n != (kind == FILES_CHANGE ? 8 : 2) ||
            !files_text_is_path(fields[1]))
                return -EBADMSG;
        number = files_journal_add(journal, kind, fields[1]);
        if (number < 0)
                return (int) number;
        if (kind != FILES_CHANGE)
                return 0;
        operation = journal->operations + number - 1;
        r = read_rights(fields + 2, &operation->before);
        return r < 0 ? r : read_rights(fields + 5, &operation->after);
}

static bool mark_is_valid(const char *mark) {
        static const char prefix[] = FILES_MARK_PREFIX;
        size_t n = strlen(mark);

        return string_starts_with(mark, prefix) && n > strlen(prefix) && n < FILES_MARK_SIZE &&
               strspn(mark + strlen(prefix), "0123456789abcdef") == n - strlen(prefix);
}

/* The value of the line NAME, which comes next; NULL if it does not. */
static const char *read_member(char **text, const char *name) {
        char *fields[FILES_FIELDS_MAX], *line = files_text_line(text);

        if (!line || files_text_fields(line, fields) != 2 || strcmp(fields[0], name) != 0 || !*fields[1])
                return NULL;
        return fields[1];
}

static int read_head(char **text, FilesJournal *journal) {
        const char *deployment, *release, *mark;

        if (!string_starts_with(*text, FILES_JOURNAL_HEADER))
                return -EBADMSG;
        *text += strlen(FILES_JOURNAL_HEADER);
        deployment = read_member(text, "deployment");
        release = deployment ? read_member(text, "release") : NULL;
        mark = release ? read_member(text, "mark") : NULL;
        if (!mark || !mark_is_valid(mark))
                return -EBADMSG;
        memcpy(journal->mark, mark, strlen(mark) + 1);
        return string_set(&journal->deployment, deployment) < 0 || string_set(&journal->release, release) < 0
                       ? -ENOMEM
                       : 0;
}

static bool is_value(const char *text) {
        size_t n = strlen(text);

        return strcmp(text, FILES_ATTRIBUTE_NONE) == 0 ||
               (n <= 2 * FILES_ATTRIBUTE_SIZE_MAX && n % 2 == 0 && strspn(text, "0123456789abcdef") == n);
}

/* Of the folder that the line before changes. */
static int read_attribute(FilesJournal *journal, char **fields, size_t n) {
        FilesOperation *operation = journal->n > 0 ? journal->operations + journal->n - 1 : NULL;
        uint64_t i;

        if (!operation || operation->kind != FILES_CHANGE || n != 4 ||
            files_text_number(fields[1], 10, FILES_ATTRIBUTES - 1, &i) < 0 || !is_value(fields[2]) ||
            !is_value(fields[3]))
                return -EBADMSG;
        return string_set(&operation->attributes_before.values[i], fields[2]) < 0 ||
                               string_set(&operation->attributes_after.values[i], fields[3]) < 0
                       ? -ENOMEM
                       : 0;
}

static int read_operations(char **text, FilesJournal *journal) {
        char *fields[FILES_FIELDS_MAX], *line;

        while ((line = files_text_line(text))) {
                size_t n;
                int r;

                if (strcmp(line, "installed") == 0)
                        return 0;
                n = files_text_fields(line, fields);
                if (n < 2)
                        return -EBADMSG;
                r = strcmp(fields[0], "attribute") == 0 ? read_attribute(journal, fields, n)
                                                        : read_operation(journal, fields, n);
                if (r < 0)
                        return r;
        }
        return -EBADMSG;
}

int files_journal_read(char *text, FilesJournal *ret, Error *error) {
        _cleanup_files_journal_ FilesJournal journal = {};
        int r;

        r = read_head(&text, &journal);
        if (r >= 0)
                r = read_operations(&text, &journal);
        if (r == -EBADMSG)
                return error_set_fault(error, r, FAULT_HOST, "it is no journal of installed files");
        if (r < 0)
                return error_oom(error);
        r = files_list_read(text, &journal.installed, error);
        if (r < 0)
                return r;
        *ret = journal;
        journal = (FilesJournal){};
        return 0;
}
