#pragma once

/* What of a depot nobody needs any more: marked from the targets, as a garbage collector does. Pure.
 *
 * Targets and trust roots always stay, and whatever is no key of muster's. What is younger than `age`, by the depot's own
 * clock, stays as well, whoever needs it: an artifact is uploaded before its release, a release before its target, a
 * register before its target. */

#include "artifacts/depot.h"
#include "artifacts/layout.h"

#define GC_AGE_MIN (UINT64_C(86400) * 1000000)

typedef struct GcName {
        char *app, *name;
} GcName;

typedef struct GcNames {
        GcName *items;
        size_t n, allocated;
} GcNames;

typedef struct GcGroup {
        char *app, *group;
        char *rollout; /* of its target: the id of the register that is in force */
} GcGroup;

typedef struct GcNeeds {
        uint64_t now; /* the depot's clock */
        uint64_t age;
        bool all_apps; /* also those without a target in any group */
        GcGroup *groups;
        size_t n_groups, groups_allocated;
        GcNames releases;  /* by version */
        GcNames artifacts; /* by SHA-256 */
        GcNames unsure; /* apps (the name is "") of which a release that stays cannot be read: so do all their artifacts */
} GcNeeds;

void gc_needs_deinit(GcNeeds *needs);
#define _cleanup_gc_needs_ _cleanup_(gc_needs_deinit)

/* -ENOMEM. */
int gc_needs_add_group(GcNeeds *needs, const char *app, const char *group, const char *rollout);
int gc_names_add(GcNames *names, const char *app, const char *name);
bool gc_names_have(const GcNames *names, const char *app, const char *name);

/* NULL: it stays; else why it may go, a few words. */
const char *gc_judge(const GcNeeds *needs, const LayoutKey *key, const DepotEntry *entry);

/* What may go, put together: a line for each release, artifact and register, for the marks of a rollout, and for the reports
 * and the failures of a group. */
typedef struct GcLine {
        LayoutKey key; /* of the first; its name says nothing about reports and failures */
        const char *why;
        uint64_t n, bytes;
        uint64_t newest; /* when the last of them was written */
} GcLine;

typedef struct GcPlan {
        const DepotEntry **victims; /* releases first, then artifacts, then the rest; belong to the list */
        size_t n;
        GcLine *lines;
        size_t n_lines, lines_allocated;
        uint64_t bytes;
        uint64_t n_kept, n_foreign;
} GcPlan;

/* ENTRIES: all of the depot, in order, as a list gives them; must stay. -ENOMEM. */
int gc_plan_make(const GcNeeds *needs, const DepotEntry *entries, size_t n, GcPlan *ret);
void gc_plan_deinit(GcPlan *plan);
#define _cleanup_gc_plan_ _cleanup_(gc_plan_deinit)

/* Whether NOW, listed after THEN, from which the needs are, tells of the same needs: no target has come, changed or gone,
 * and no release but those that may go anyway. */
bool gc_plan_holds(const GcNeeds *needs, const DepotReply *then, const DepotReply *now);
