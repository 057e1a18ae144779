#include <stdlib.h>
#include <string.h>

#include "agent/base/strv.h"
#include "agent/cli/place_words.h"

static int take_word(const PlaceWord *place, const char *word, Error *error) {
        const char *given = *place->value, *fallback = place->variable ? getenv(place->variable) : NULL;

        if (given && strcmp(given, word) != 0 && !string_equal(given, fallback))
                return error_set_fault(error, -EDESTADDRREQ, FAULT_INPUT,
                                       "the %s is \"%.64s\", and --%s says \"%.64s\": give one of them",
                                       place->name, word, place->name, given);
        if (!place->is_valid(word))
                return error_set_fault(
                        error, -EDESTADDRREQ, FAULT_INPUT,
                        "the %s is \"%.64s\", expected letters, digits, \".\", \"_\" or \"-\", at most 64",
                        place->name, word);
        *place->value = word;
        return 0;
}

int place_words_take(const PlaceWord *places, size_t n, char *const *words, const char *usage, Error *error) {
        size_t n_words = strv_length(words);
        bool version_alone = n_words == 1 && strcmp(places[n - 1].name, "version") == 0;
        int r = 0;

        if (version_alone)
                r = take_word(&places[n - 1], words[0], error);
        else if (n_words > 0 && n_words != n)
                return error_set_fault(error, -EDESTADDRREQ, FAULT_INPUT, "expected: %s", usage);
        for (size_t i = 0; i < n && n_words == n && r >= 0; i++)
                r = take_word(&places[i], words[i], error);
        for (size_t i = 0; i < n && r >= 0; i++)
                if (!*places[i].value)
                        return error_set_fault(error, -EDESTADDRREQ, FAULT_INPUT, "the %s is missing: %s",
                                               places[i].name, usage);
        return r;
}

int place_words_take_group(const char **app, const char **group, char *const *words, const char *usage,
                           Error *error) {
        const PlaceWord places[] = { APP_WORD(app), GROUP_WORD(group) };

        return place_words_take(places, ELEMENTSOF(places), words, usage, error);
}
