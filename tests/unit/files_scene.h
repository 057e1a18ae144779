#pragma once

/* An app with files in a machine of its own, for tests: a store, a folder that files are installed in, and a record. */

#include "agent/files.h"
#include "tests/unit/test.h"

typedef struct FilesScene {
        TestFolder *folder;
        ReleaseStore *store; /* in <folder>/state */
        Record record;
        int place; /* <folder>/place */
} FilesScene;

int files_scene_setup(void **state);
int files_scene_teardown(void **state);

/* Writes a file with its folders. */
void files_scene_write(int dirfd, const char *path, const char *content);

/* A release in the store with a tree of its own: NULL-terminated paths, whose content is "<version> <path>". FILES are the
 * members `files`, `permissions` and so on of its document, as JSON with a comma after each, in which every "@" stands for
 * the folder that files are installed in. */
Release *files_scene_release(FilesScene *scene, const char *version, const char *files,
                             const char *const *paths);

/* Begins a deployment of it, and ends one: it is the good release, or the one before is in force again. */
void files_scene_begin(FilesScene *scene, const Release *release, const char *id);
void files_scene_commit(FilesScene *scene);
void files_scene_fail(FilesScene *scene);

/* Installs in this process; what files_install() returns. */
int files_scene_install(FilesScene *scene, const Release *release, Error *error);

/* All in one: deployed, committed, settled. */
void files_scene_deploy(FilesScene *scene, const Release *release, const char *id);

/* What lies in the place, as text: path, kind, mode and content of each entry, sorted. New memory. */
char *files_scene_look(const FilesScene *scene);
