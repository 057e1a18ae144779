#pragma once

/* What the instance metadata say of an instance's end: bytes in, values out. "Instance metadata categories", "Spot Instance
 * interruption notices" and "Scheduled events" in the EC2 User Guide. Times are microseconds since 1970. */

#include <stdbool.h>
#include <stdint.h>

#include "agent/base/error.h"

#define LIFE_WORD_SIZE 64U /* of actions, codes and states, which are words of a few letters */

/* meta-data/spot/instance-action: {"action": "terminate", "time": "2026-11-21T09:00:00Z"} */
typedef struct SpotAction {
        char action[LIFE_WORD_SIZE];
        uint64_t at;
} SpotAction;

int life_metadata_spot(const char *text, SpotAction *ret, Error *error);

/* meta-data/events/recommendations/rebalance: {"noticeTime": "2026-11-21T09:00:00Z"} */
int life_metadata_rebalance(const char *text, uint64_t *ret_at, Error *error);

/* meta-data/events/maintenance/scheduled: an array, whose times are written "21 Jan 2019 09:00:43 GMT". Of the events that
 * are still to come or last, the one that begins first; 0 and an empty code where there is none, 1 where there is. */
typedef struct Maintenance {
        char code[LIFE_WORD_SIZE];
        uint64_t not_before;
} Maintenance;

int life_metadata_maintenance(const char *text, Maintenance *ret, Error *error);

/* A word as the metadata have them: printable, short. */
bool life_metadata_is_word(const char *text);
