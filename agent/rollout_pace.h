#pragma once

/* How often an instance looks at the register of its rollout, and when it writes: often enough that nobody waits for long,
 * seldom enough that ten thousand do not fight over one key. Whoever writes takes in what all the others have to say, so one
 * write now and then is all that it takes. Pure; chance is given. */

#include <stdbool.h>
#include <stdint.h>

#define ROLLOUT_LOOK_UNCOMMITTED (UINT64_C(15) * 1000000) /* while it changes */
#define ROLLOUT_LOOK_ASKED (UINT64_C(10) * 1000000)       /* while it waits for an answer, or in line */
#define ROLLOUT_LOOK_FIRST (UINT64_C(15) * 1000000)       /* else, and ... */
#define ROLLOUT_LOOK_OF_ONE (UINT64_C(10) * 1000)         /* ... for each instance of the fleet */
#define ROLLOUT_LOOK_MAX (UINT64_C(180) * 1000000)

/* Of all that might write, about one does in the time that a write takes, lists of the whole fleet included. */
#define ROLLOUT_WRITE_TAKES (UINT64_C(1) * 1000000)
#define ROLLOUT_WRITE_TAKES_OF_ONE UINT64_C(500)

/* After each such time without an answer half as many are thought to be there. */
#define ROLLOUT_CROWD_HALVED (UINT64_C(15) * 1000000)

typedef enum RolloutPart {
        ROLLOUT_LOOKS_ON, /* has nothing to say */
        ROLLOUT_HAS_SAID, /* a mark that no write has taken in, or waits in line for a place */
        ROLLOUT_CHANGES,  /* holds a place */
        ROLLOUT_PARTS,
} RolloutPart;

/* How long from one look to the next. CHANCE is uniform over 64 bits. */
uint64_t rollout_pace_look(RolloutPart part, uint64_t fleet, uint64_t chance);

/* When to look, at the latest, at what falls due at DUE (register_due()): soon after it, not all at once. */
uint64_t rollout_pace_due(uint64_t due, uint64_t fleet, uint64_t chance);

/* Whether one of a crowd in a fleet, which looks every LOOK, writes now. AGE is since when there is something to
 * write, or since the last write, whichever is later. */
bool rollout_pace_writes(uint64_t crowd, uint64_t fleet, uint64_t look, uint64_t age, uint64_t chance);
