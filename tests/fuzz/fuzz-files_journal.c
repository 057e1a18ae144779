#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "agent/files_journal.h"

/* What says which files are installed, and what is being done to them. What is read is written again, and that is read as the
 * same: a journal that would be carried out in another way after a restart is none. */

static void write_text(const FilesJournal *journal, Buffer *buffer) {
        if (files_journal_write(journal, buffer) < 0)
                abort();
}

static void check_operations(const FilesJournal *journal) {
        for (size_t i = 0; i < journal->n; i++)
                if (journal->operations[i].path[0] != '/' ||
                    journal->operations[i].kind >= FILES_OPERATION_KINDS)
                        abort();
        for (size_t i = 0; i < journal->installed.n; i++)
                if (journal->installed.items[i].path[0] != '/')
                        abort();
}

static void try_journal(char *text) {
        _cleanup_files_journal_ FilesJournal first = {}, second = {};
        _cleanup_buffer_ Buffer once = {}, twice = {};
        _cleanup_free_ char *copy = NULL;
        Error error;

        if (files_journal_read(text, &first, &error) < 0)
                return;
        check_operations(&first);
        write_text(&first, &once);
        copy = strdup(buffer_string(&once));
        if (!copy || files_journal_read(copy, &second, &error) < 0)
                abort();
        write_text(&second, &twice);
        if (once.size != twice.size || memcmp(once.data, twice.data, once.size) != 0)
                abort();
}

static void try_list(char *text) {
        _cleanup_files_list_ FilesList list = {};
        Error error;

        if (files_list_read(text, &list, &error) < 0)
                return;
        for (size_t i = 0; i < list.n; i++)
                if (files_list_find(&list, list.items[i].path) != &list.items[i])
                        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        char *text = malloc(size + 1);

        if (!text)
                return 0;
        memcpy(text, data, size);
        text[size] = '\0';
        if (strncmp(text, FILES_LIST_HEADER, strlen(FILES_LIST_HEADER)) == 0)
                try_list(text);
        else
                try_journal(text);
        free(text);
        return 0;
}
