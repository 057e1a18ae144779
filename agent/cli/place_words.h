#pragma once

/* APP, GROUP and VERSION as words without their options, as one types them in a hurry. */

#include <stdbool.h>
#include <stddef.h>

#include "agent/base/error.h"
#include "agent/base/parse.h"
#include "agent/cli/option.h"

typedef struct PlaceWord {
        const char *name;     /* of the option */
        const char *variable; /* that stands for it where it is not given; or NULL */
        bool (*is_valid)(const char *text);
        const char **value; /* what the option has said, or NULL; gets the word */
} PlaceWord;

#define APP_WORD(into)                                                                                       \
        { "app", "MUSTER_APP", name_is_valid, into }
#define GROUP_WORD(into)                                                                                     \
        { "group", "MUSTER_GROUP", name_is_valid, into }
#define VERSION_WORD(into)                                                                                   \
        { "version", NULL, version_is_valid, into }

/* Takes WORDS, which are all of PLACES, or only the last of them if that is the version, or none; a word that contradicts its
 * option is refused. Then nothing may be missing. -EDESTADDRREQ with USAGE. */
int place_words_take(const PlaceWord *places, size_t n, char *const *words, const char *usage, Error *error);

/* APP and GROUP, nothing else. */
int place_words_take_group(const char **app, const char **group, char *const *words, const char *usage,
                           Error *error);

/* Rows of option tables that the words may stand for. */
#define PLACE_OPTIONS(structure, app_member, group_member)                                                   \
        { .name = "app",                                                                                     \
          .letter = 'a',                                                                                     \
          .type = OPTION_NAME,                                                                               \
          OPTION_INTO(structure, app_member),                                                                \
          .value = "NAME",                                                                                   \
          .help = "the app, instead of the argument",                                                        \
          .environment = "MUSTER_APP" },                                                                     \
        {                                                                                                    \
                .name = "group", .letter = 'g', .type = OPTION_NAME, OPTION_INTO(structure, group_member),   \
                .value = "NAME", .help = "the deployment group, instead of the argument",                    \
                .environment = "MUSTER_GROUP"                                                                \
        }
