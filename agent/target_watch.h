#pragma once

/* Keeps an eye on one target in the depot: conditional GETs with jitter, then signature, app and group, serial, and
 * freshness where the trust root knows such a role. What is accepted is written into the record before it is acted
 * on, so that no restart ever accepts a lower serial. A target that is refused, and a depot that does not answer, leave
 * the one that was accepted before in force. */

#include "agent/base/clock.h"
#include "agent/record.h"
#include "artifacts/depot.h"
#include "artifacts/target.h"
#include "artifacts/trust_root.h"

typedef struct TargetWatch TargetWatch;

typedef struct TargetWatchContext {
        sd_event *event;
        const Clock *clock;
        Depot *depot;
        const TrustRoot *root;
        Record *record;
        int app_fd;
        const char *app;
        const char *group;
        const char *instance;
        uint64_t interval; /* microseconds between two looks */
} TargetWatchContext;

/* The target, or why there is none, has changed, or was looked at the first time. */
typedef void (*TargetWatchChanged)(TargetWatch *watch, void *userdata);

/* Looks for the first time at once. What the context points to must stay. */
int target_watch_new(const TargetWatchContext *context, TargetWatchChanged changed, void *userdata,
                     TargetWatch **ret, Error *error);
TargetWatch *target_watch_free(TargetWatch *watch);
DEFINE_CLEANUP(TargetWatch *, target_watch_free)

/* Looks now, or again once the look under way has ended. Returns the number of that look. */
uint64_t target_watch_poll(TargetWatch *watch);

/* Whether that look, or a later one, has come to a judgement: the target that was found is durably in the record, or
 * refused. A look that a depot did not answer has not. */
bool target_watch_has_looked(const TargetWatch *watch, uint64_t look);

/* A target that came another way than by a look, such as in a message: judged and kept as the depot's own. Where the
 * trust root asks for freshness, nothing is done but to look. */
int target_watch_offer(TargetWatch *watch, const void *envelope, size_t size, Error *error);

/* From now on, the time between two looks; a shorter one begins at once. */
void target_watch_set_interval(TargetWatch *watch, uint64_t interval);

/* Whether a look is on its way, or was asked for and has yet to begin. */
bool target_watch_is_looking(const TargetWatch *watch);

/* The accepted target, NULL if there is none that may be acted on. */
const Target *target_watch_target(const TargetWatch *watch);

/* What is wrong with the last look, or NULL. */
const char *target_watch_problem(const TargetWatch *watch);
