#pragma once

/* The sandbox of muster-unpack: a transient unit in which there is nothing but the system's programs and libraries, read
 * only, and one staging folder. What the process cannot do, even if an archive has taken it over:
 *
 *     see      /etc, /var, /home, /root, /run, /proc, /sys, /dev: the root of its file system is an empty one, with /usr
 *              bound into it
 *     write    anywhere but in its staging folder; nor execute what it has written there
 *     talk     no network but an own, empty one; no sockets of any family; no IPC; no signals to anybody else's process
 *     become   no capability, no setuid, no other namespace, user or architecture
 *     exhaust  memory, processes, open files, time: each has its limit; space is watched from outside (unpack_watch.h)
 *
 * Every limit is tried from within in tests/lab/test_unpack_unit.py. */

#include "units/transient.h"

#define UNPACK_USER "muster-unpack"
#define UNPACK_UNIT_FORMAT "muster-unpack-%s-%s.service" /* the app, the staging folder */

/* Its window, names and queue take at most some 180 MiB; the rest is page cache, which the kernel takes back. */
#define UNPACK_MEMORY_MAX (UINT64_C(512) << 20)
#define UNPACK_DATA_MAX (UINT64_C(256) << 20)
#define UNPACK_TASKS_MAX UINT64_C(4)
#define UNPACK_USER_TASKS_MAX UINT64_C(32) /* of all its units together: each has three threads */
#define UNPACK_FILES_MAX UINT64_C(256)
#define UNPACK_TIMEOUT_USEC (UINT64_C(3600) * 1000000)

/* STAGING: absolute path of the folder to fill, which belongs to UNPACK_USER. Both descriptors are duplicated. The unit is
 * called muster-unpack-APP-NAME.service after the folder's own name, which no other try has. The caller has it stopped
 * when it has ended (transient_stop.h). */
int unpack_unit_start(Manager *manager, const char *app, const char *deployment, const char *staging,
                      int stdin_fd, int stdout_fd, TransientDone done, void *userdata, Transient **ret,
                      Error *error);

/* What matches the units of all tries for APP, and of no other app, in the way of systemd's patterns. New memory; -ENOMEM. */
int unpack_unit_pattern(const char *app, char **ret);

/* The same with another program in place of muster-unpack, to try what it can do there. */
int unpack_unit_start_program(Manager *manager, const char *app, const char *deployment, const char *staging,
                              char *const *argv, int stdin_fd, int stdout_fd, TransientDone done,
                              void *userdata, Transient **ret, Error *error);
