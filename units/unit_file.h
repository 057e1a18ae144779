#pragma once

/* The unit files that releases bring: installed by copy, since a linked unit is stored by its resolved path when it is
 * enabled, and is "not-found" at boot while its file system is not mounted.
 *
 * Who owns a unit name is written in the file itself, on a first line that systemd takes for a comment:
 *
 *      # Installed by muster: api.service of app api. Changes made here are lost.
 *
 * So the mark and the content arrive by one rename and cannot disagree after a crash, an administrator sees it in
 * `systemctl cat`, and a copy under another name (which would carry an xattr along, too) is not taken for ours. Only
 * the first line counts and only this module writes it, so a release cannot claim another's unit.
 *
 * All of this is files; none of it talks to systemd. After a change systemd must reload (manager_reload_start). */

#include <stdbool.h>

#include "agent/base/error.h"

/* systemd.unit(5) files are a few kilobytes; systemd itself has no limit but memory. */
#define UNIT_FILE_SIZE_MAX (256U * 1024U)
#define UNIT_FILES_MAX 128U

#define UNIT_FILES_INSTALL_FOLDER "/etc/systemd/system"
#define UNIT_FILE_DROP_IN "50-muster.conf"

typedef struct UnitFiles {
        int dirfd;                   /* the folder that units are installed into; borrowed */
        const char *const *reserved; /* NULL-terminated: folders whose names are taken */
} UnitFiles;

/* systemd.unit(5)'s other folders: those of packages, of generators, of the running system. */
extern const char *const unit_files_reserved[];

/* UNIT_FILES_INSTALL_FOLDER, opened; a descriptor. */
int unit_files_open(Error *error);

typedef enum UnitOwner {
        UNIT_OWNER_NOBODY, /* the name is free */
        UNIT_OWNER_APP,    /* installed by muster, for the app asked for */
        UNIT_OWNER_OTHER,  /* another app's, another package's, the administrator's, or masked */
} UnitOwner;

/* Whether APP may install NAME. On UNIT_OWNER_OTHER, ERROR says whose it is. A negative errno on failure. */
int unit_file_owner(const UnitFiles *files, const char *app, const char *name, Error *error);

/* The same by the mark alone, for what is installed already: no other folder is looked at. */
int unit_file_installed(const UnitFiles *files, const char *app, const char *name, Error *error);

/* -EBUSY, the host's fault, if NAME is masked: the operator does not want it to run now. */
int unit_file_check_masked(const UnitFiles *files, const char *name, Error *error);

/* Copies all of SOURCE_FD (from its beginning) to NAME, durably: temporary file, fsync, rename. *RET_CHANGED tells
 * whether that made a difference. -EEXIST: the name belongs to somebody else or is reserved (the release's fault);
 * -EINVAL: not a unit name, or not text; -E2BIG. */
int unit_file_install(const UnitFiles *files, const char *app, const char *name, int source_fd,
                      bool *ret_changed, Error *error);

/* Writes NAME.d/50-muster.conf of a service of APP, which has it read ENVIRONMENT_FILE (an absolute path) at start;
 * NULL removes it. */
int unit_file_set_environment(const UnitFiles *files, const char *app, const char *name,
                              const char *environment_file, bool *ret_changed, Error *error);

/* Removes the file and its drop-in. One that is not there is no error, one that is not APP's is -EEXIST. */
int unit_file_remove(const UnitFiles *files, const char *app, const char *name, bool *ret_changed,
                     Error *error);

/* The names that APP owns, sorted; NULL if none. -E2BIG: more than UNIT_FILES_MAX. */
int unit_files_list(const UnitFiles *files, const char *app, char ***ret, Error *error);

/* Pure: whether TEXT (the beginning of a file) is marked as NAME, and as which app's. */
#define UNIT_FILE_APP_MAX 65U
bool unit_file_is_marked(const char *text, const char *name, char ret_app[static UNIT_FILE_APP_MAX]);
