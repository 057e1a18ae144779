#pragma once

/* Ids of deployments: "d-20261121T090000.250Z-3f2a", the time and something random. Sorted as text they are in the order
 * in which the deployments of an app were begun, even where two begin within a millisecond or the clock was set back. */

#include <stdint.h>

#define DEPLOYMENT_ID_SIZE 28U /* with the final zero */

/* NOW in microseconds since 1970. LAST is the id before, or NULL; the new one sorts after it. */
void deployment_id_make(uint64_t now, const char *last, uint16_t random, char ret[static DEPLOYMENT_ID_SIZE]);
