#pragma once

/* "did you mean": the word of a list that is most like what was typed. */

#include <stddef.h>

/* How many letters must be added, removed, replaced or swapped with their neighbour to make A into B (optimal string
 * alignment). Words longer than SUGGEST_WORD_MAX are told apart by their first letters only. */
#define SUGGEST_WORD_MAX 48U
size_t suggest_distance(const char *a, const char *b);

/* The nearest of the N words that is near enough to have been meant, or NULL: a third of its letters may be wrong, or
 * it begins with what was typed. */
const char *suggest_nearest(const char *typed, const char *const words[], size_t n);
