#pragma once

/* One musterd at a time works on a state folder: a second one, started by hand beside the service, would deploy over the
 * first one's shoulder. The lock ends with the descriptor, however its holder dies. */

#include "agent/base/error.h"

/* Takes the lock of the folder STATE_FD, which messages call STATE_DIR. A descriptor to be closed to release it; -EBUSY if
 * another process holds it. */
int state_lock_take(int state_fd, const char *state_dir, Error *error);
