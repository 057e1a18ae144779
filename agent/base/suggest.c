#include <stdint.h>
#include <string.h>

#include "agent/base/cleanup.h"
#include "agent/base/strv.h"
#include "agent/base/suggest.h"

size_t suggest_distance(const char *a, const char *b) {
        size_t rows[3][SUGGEST_WORD_MAX + 1];
        size_t *before = rows[0], *above = rows[1], *row = rows[2];
        size_t n = strnlen(a, SUGGEST_WORD_MAX), m = strnlen(b, SUGGEST_WORD_MAX);

        for (size_t j = 0; j <= m; j++)
                row[j] = j;
        for (size_t i = 1; i <= n; i++) {
                size_t *spare = before;

                before = above;
                above = row;
                row = spare;
                row[0] = i;
                for (size_t j = 1; j <= m; j++) {
                        size_t replaced = above[j - 1] + (a[i - 1] != b[j - 1]);
                        size_t shifted = MIN(above[j], row[j - 1]) + 1;

                        row[j] = MIN(replaced, shifted);
                        if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                                row[j] = MIN(row[j], before[j - 2] + 1);
                }
        }
        return row[m];
}

/* Smaller is nearer; SIZE_MAX is too far. */
static size_t remoteness(const char *typed, const char *word) {
        size_t length = strlen(word), distance;

        if (strlen(typed) >= 2 && string_starts_with(word, typed))
                return 1;
        distance = suggest_distance(typed, word);
        return distance <= MAX(length / 3, (size_t) 1) ? distance : SIZE_MAX;
}

const char *suggest_nearest(const char *typed, const char *const words[], size_t n) {
        const char *nearest = NULL;
        size_t least = SIZE_MAX;

        for (size_t i = 0; i < n; i++) {
                size_t r = remoteness(typed, words[i]);

                if (r < least) {
                        least = r;
                        nearest = words[i];
                }
        }
        return nearest;
}
