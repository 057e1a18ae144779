#include <fcntl.h>

#include "agent/base/file.h"
#include "agent/state_lock.h"
#include "artifacts/file_lock.h"

#define LOCK_FILE ".lock"

/* Only root may open it: who can read a file can lock it, and so hold musterd up. */
static int make_lock_file(int state_fd) {
        _cleanup_close_ int fd = -1;

        fd = file_open_at(state_fd, LOCK_FILE, O_RDONLY | O_CREAT | O_NOCTTY, 0600);
        return MIN(fd, 0);
}

int state_lock_take(int state_fd, const char *state_dir, Error *error) {
        int fd, r;

        r = make_lock_file(state_fd);
        fd = r < 0 ? r : file_lock_try(state_fd, LOCK_FILE);
        if (fd == -EAGAIN)
                return error_set_fault(error, -EBUSY, FAULT_HOST, "another musterd works on %s", state_dir);
        return fd < 0 ? error_set_errno(error, fd, "%s/" LOCK_FILE, state_dir) : fd;
}
