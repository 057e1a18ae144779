#pragma once

/* At start: a muster-unpack whose musterd is no more goes on writing into its staging folder. Each such folder is named in its
 * unit's name, so every unit for which there is one is stopped, before the folder is removed. */

#include "artifacts/store.h"
#include "units/manager.h"

typedef struct UnpackStop UnpackStop;
typedef void (*UnpackStopDone)(UnpackStop *stop, int result, const Error *error, void *userdata);

/* STORE must stay. */
int unpack_stop_start(Manager *manager, const ReleaseStore *store, const char *app, UnpackStopDone done,
                      void *userdata, UnpackStop **ret, Error *error);
UnpackStop *unpack_stop_free(UnpackStop *stop);
DEFINE_CLEANUP(UnpackStop *, unpack_stop_free)
