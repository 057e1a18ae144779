#pragma once

/* The end of a transient unit: all its processes are ended, and once it is down systemd forgets it (stop,
 * reset-failed). */

#include "units/manager.h"

typedef struct TransientStop TransientStop;
typedef void (*TransientStopDone)(TransientStop *stop, int result, const Error *error, void *userdata);

/* A unit that is not there is no error. */
int transient_stop_start(Manager *manager, const char *name, TransientStopDone done, void *userdata,
                         TransientStop **ret, Error *error);
TransientStop *transient_stop_free(TransientStop *stop);
DEFINE_CLEANUP(TransientStop *, transient_stop_free)
