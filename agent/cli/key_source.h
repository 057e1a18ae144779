#pragma once

/* Where commands take their keys from: a file, or an environment variable that holds the PEM text itself. Never an
 * argument, which every process on the machine can read. */

#include "artifacts/key.h"

/* From the file PATH, or, where that is NULL, from the environment variable VARIABLE. OPTION is for the message that
 * neither is there: -ENOKEY. */
int key_source_private(const char *path, const char *variable, const char *option, Key **ret, Error *error);

/* The public half, from a file of either kind; a private one is held to its mode. -EBADMSG for what is no key. */
int key_source_public(const char *path, Key **ret, Error *error);

/* Keys in order, for signing or for a role. */
#define KEY_LIST_MAX 64U
typedef struct KeyList {
        Key *keys[KEY_LIST_MAX];
        size_t n;
} KeyList;

void key_list_deinit(KeyList *list);
#define _cleanup_key_list_ _cleanup_(key_list_deinit)

/* Reads a key of either kind from each of PATHS, private where the file holds a private one. */
int key_list_load(KeyList *list, char *const *paths, Error *error);
