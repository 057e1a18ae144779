#pragma once

/* The journal of a change of an app's installed files: what is going to be done, and what is installed once it has been. It is
 * written before anything is changed, and says for each operation by the names on the disk alone how far it has come, so
 * that whoever finds it (musterd started anew, muster-recover at boot) can finish it or take it back:
 *
 *     new        what arrives lies as <mark>-<n> beside the place; one rename puts it there
 *     replace    the same, and what is replaced gets a second name, <mark>-<n>.old, before
 *     remove     what goes is renamed to <mark>-<n>.old
 *     change     of a folder that stays: other owners or mode
 *     forget     a folder that goes once it is empty, after the commit
 *
 * Two files in the folder files/ of the app:
 *
 *     prepare    what arrives is being copied; only <mark>-<n> may be there
 *     journal    all of that is on the disk for good; from now on places change
 *
 * The text:
 *
 *     muster-files-journal 1
 *     deployment <id>
 *     release <name>
 *     mark <mark>
 *     new <path> …
 *     change <path> <mode> <uid> <gid> <mode> <uid> <gid>     as it was, as it shall be
 *     attribute <number> <value> <value>                      of that folder: files_attributes.h
 *     installed
 *     the list of what is installed then (files_list.h)
 *
 * with a tab where a space stands here. Pure. */

#include "agent/files_attributes.h"
#include "agent/files_list.h"

#define FILES_JOURNAL_HEADER "muster-files-journal 1\n"
#define FILES_JOURNAL_SIZE_MAX (UINT64_C(1) << 30)
#define FILES_MARK_PREFIX ".muster-"
#define FILES_MARK_SIZE 32U

typedef enum FilesOperationKind {
        FILES_NEW,
        FILES_REPLACE,
        FILES_REMOVE,
        FILES_CHANGE,
        FILES_FORGET,
        FILES_OPERATION_KINDS,
} FilesOperationKind;

typedef struct FilesRights {
        mode_t mode;
        uid_t uid;
        gid_t gid;
} FilesRights;

typedef struct FilesOperation {
        FilesOperationKind kind;
        char *path;
        FilesRights before, after; /* of a change */
        FilesAttributes attributes_before, attributes_after;
} FilesOperation;

typedef struct FilesJournal {
        char *deployment;
        char *release;              /* its name in the store (store.h) */
        char mark[FILES_MARK_SIZE]; /* ".muster-0123456789abcdef" */
        FilesOperation *operations;
        size_t n, allocated;
        FilesList installed; /* sorted */
} FilesJournal;

void files_journal_deinit(FilesJournal *journal);
#define _cleanup_files_journal_ _cleanup_(files_journal_deinit)

/* Adds an operation; its number, counted from 1, or -ENOMEM. */
ssize_t files_journal_add(FilesJournal *journal, FilesOperationKind kind, const char *path);

/* The name beside its place that what an operation brings arrives under, or what it takes away is kept under. */
#define FILES_NAME_SIZE 64U
void files_journal_new_name(const FilesJournal *journal, size_t number, char ret[static FILES_NAME_SIZE]);
void files_journal_old_name(const FilesJournal *journal, size_t number, char ret[static FILES_NAME_SIZE]);

/* -ENOMEM. */
int files_journal_write(const FilesJournal *journal, Buffer *buffer);

/* TEXT is changed. -EBADMSG, the host's fault, with the line. */
int files_journal_read(char *text, FilesJournal *ret, Error *error);
