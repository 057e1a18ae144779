#pragma once

/* The checks of the good release once more, outside a deployment: after the instance was restarted, before it counts as
 * ready. */

#include "agent/engine.h"

typedef struct Recheck Recheck;

/* RESULT 0: it passed. */
typedef void (*RecheckDone)(Recheck *recheck, int result, const Error *error, void *userdata);

/* CONTEXT is copied; what it points to must stay, and with it the record's good release. */
int recheck_start(const EngineContext *context, RecheckDone done, void *userdata, Recheck **ret,
                  Error *error);
Recheck *recheck_free(Recheck *recheck);
DEFINE_CLEANUP(Recheck *, recheck_free)
