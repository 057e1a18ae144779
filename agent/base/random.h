#pragma once

/* Numbers nobody can foresee, for jitter and for names that must not meet. */

#include <stdint.h>

/* Uniform over all 64-bit numbers. */
uint64_t random_u64(void);

/* Uniform from 0 to LIMIT - 1; 0 for LIMIT 0. */
uint64_t random_below(uint64_t limit);
