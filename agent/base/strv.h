#pragma once

/* NULL-terminated arrays of strings, such as argument lists. NULL is an empty one. */

#include <stdbool.h>
#include <stddef.h>

#include "agent/base/cleanup.h"

#define STRV_FOREACH(s, v) for (__typeof__(*(v)) *s = (v); s && *s; s++)

char **strv_free(char **strv);
DEFINE_CLEANUP(char **, strv_free)

size_t strv_length(char *const *strv);
bool strv_equal(char *const *a, char *const *b);
bool strv_contains(char *const *strv, const char *string);

/* Adds a copy of STRING. -ENOMEM. */
int strv_append(char ***strv, const char *string);

/* Adds a copy of each of STRINGS. -ENOMEM, and then perhaps of the first ones only. */
int strv_extend(char ***strv, char *const *strings);

/* Adds formatted text. -ENOMEM. */
int strv_appendf(char ***strv, const char *format, ...) _printf_(2, 3);

/* Splits at any character of SEPARATORS; empty pieces are dropped. -ENOMEM. */
int strv_split(const char *string, const char *separators, char ***ret);

/* The value of NAME in an environment as environ(7) has it; NULL where it is missing or empty. */
const char *strv_getenv(char *const *environment, const char *name);

bool string_starts_with(const char *string, const char *prefix);
bool string_ends_with(const char *string, const char *suffix);

/* Both NULL, or both the same text. */
bool string_equal(const char *a, const char *b);

/* NULL stays NULL. Replaces *S by a copy of VALUE, freeing what was there. -ENOMEM. */
int string_set(char **s, const char *value);

#define _cleanup_strv_ _cleanup_(strv_freep)
