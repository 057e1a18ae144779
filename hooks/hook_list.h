#pragma once

/* All hooks of one event, one after the other, in order; the first that fails is the last. Each result is handed over
 * to be recorded, then its unit is collected. */

#include "hooks/hook.h"
#include "hooks/hook_leftovers.h"

typedef struct HookList HookList;

/* RESULT as HookDone's; INDEX is the failed hook's. */
typedef void (*HookListDone)(HookList *list, int result, unsigned index, const Error *error, void *userdata);

/* After each hook, also the failed one: record it durably before returning. May be NULL. A negative return ends the
 * list with that result. */
typedef int (*HookListRecord)(HookList *list, const Hook *hook, unsigned index, int result,
                              const Error *error, void *userdata);

/* Runs SCRIPTS from FIRST on: after a restart, the first hook whose result is not recorded. Where CONTEXT->attempt is above
 * 1, that one is taken up if an earlier attempt at it still runs or has ended meanwhile, and not run again. */
int hook_list_start(Manager *manager, const HookContext *context, const HookScript *scripts,
                    unsigned n_scripts, unsigned first, HookListRecord record, HookListDone done,
                    void *userdata, HookList **ret, Error *error);
HookList *hook_list_free(HookList *list);
DEFINE_CLEANUP(HookList *, hook_list_free)
