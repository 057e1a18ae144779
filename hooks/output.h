#pragma once

/* The output of a hook: a plain file, opened for appending, that is the program's standard output and error, and that
 * is cut down while it grows.
 *
 * Why not a pipe to musterd: its other end would go away with every restart of musterd and take the hook, or the daemon
 * that it left behind, along (SIGPIPE); and a reader that is late would hold them up. Why not a limit on the file
 * (RLIMIT_FSIZE): it kills the script, and counts for every other file that it writes. Why not the journal: it drops
 * lines of who writes much, and the last lines, which an error quotes, come late. A file has none of this: the program
 * never waits and never fails for its output, and the last lines are there when it ends.
 *
 * So that it stays small, whoever watches calls output_trim() now and then: what is between its first
 * OUTPUT_HEAD bytes and its last OUTPUT_TAIL ones is cut out in place (fallocate(2): FALLOC_FL_COLLAPSE_RANGE;
 * where a filesystem cannot do that, a hole; where it cannot do that either, the file begins anew). O_APPEND keeps the
 * program writing at the end wherever that is. Between two calls the file may grow by what the program writes in that
 * time: the limit is soft. */

#include <stdbool.h>
#include <sys/types.h>

#include "agent/base/error.h"

#define OUTPUT_MAX (1024U * 1024U) /* it is trimmed when it has more */
#define OUTPUT_HEAD (128U * 1024U)
#define OUTPUT_TAIL (128U * 1024U)

/* Stands in an error before what a program printed last, which may be anything: what is told to everybody ends there. */
#define OUTPUT_QUOTE "; its last output: "

/* A descriptor of NAME in DIRFD for the program to write to: made if missing, appended to if not. It belongs to OWNER
 * (mode 0600), so that a script that runs as that user can open /dev/stdout. */
int output_open(int dirfd, const char *name, uid_t owner, Error *error);

/* Cuts the file down if it has grown over OUTPUT_MAX; *RET_TRIMMED tells. */
int output_trim(int dirfd, const char *name, bool *ret_trimmed);

/* The same for all files of a folder: for what daemons that hooks left behind still write. Call it every minute or so. */
int output_trim_folder(int dirfd);

/* The last lines, at most SIZE bytes of them, printable; new memory, "" if there are none. A line that began before is
 * left out. */
int output_tail(int dirfd, const char *name, size_t size, char **ret);

/* Pure: the last lines of TAIL in one, for an error: at most N lines, blank ones skipped, joined by " | "; cut to
 * SIZE bytes from its beginning. */
void output_digest(const char *tail, unsigned n, char *ret, size_t size);
