#pragma once

/* A lock between processes: flock(2) on a file that is made once and never replaced. It ends with the
 * descriptor, and so with its holder, however that dies. */

/* Takes the lock PATH (as for file_open_at()) without waiting: a descriptor to be closed to release it;
 * -EAGAIN if somebody else holds it, or another negative errno. */
int file_lock_try(int dirfd, const char *path);
