#pragma once

/* The small notations that documents, configuration and command line share. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Decimal digits only, no sign, no white space. -EINVAL, -ERANGE. */
int parse_u64(const char *text, uint64_t *ret);

/* "90s", "5m", "1h30m", "250ms", "2d"; units d h m s ms, each at most once, in falling order; "0" alone is zero.
 * Microseconds. -EINVAL, -ERANGE. */
int parse_duration(const char *text, uint64_t *ret_usec);

/* "1048576", "64K", "2M", "1G" (powers of 1024). Bytes. -EINVAL, -ERANGE. */
int parse_size(const char *text, uint64_t *ret);

/* yes/no, true/false, on/off, 1/0. -EINVAL. */
int parse_boolean(const char *text, bool *ret);

/* RFC 3339 with "Z" or a numeric offset, with or without fraction; microseconds since 1970. -EINVAL, -ERANGE. */
int parse_time(const char *text, uint64_t *ret_usec);

/* RFC 3339 in UTC, whole seconds: "2026-11-21T09:00:00Z". */
#define TIME_TEXT_MAX 32
void format_time(uint64_t usec, char ret[static TIME_TEXT_MAX]);

/* The same with microseconds: "2026-11-21T09:00:00.250000Z". */
void format_time_exact(uint64_t usec, char ret[static TIME_TEXT_MAX]);

/* The way people write it: "90s", "5m", "1h30m", "250ms". */
#define DURATION_TEXT_MAX 64
void format_duration(uint64_t usec, char ret[static DURATION_TEXT_MAX]);

/* "20.0 MiB", "512 B" */
#define SIZE_TEXT_MAX 32
void format_size(uint64_t bytes, char ret[static SIZE_TEXT_MAX]);

/* Names of apps, groups and instances as they stand in keys, folders and unit names: 1 to 64 characters of
 * [A-Za-z0-9._-], the first one a letter or a digit. */
bool name_is_valid(const char *name);

/* Versions: the same set and "+" and "~", 1 to 64 characters. */
bool version_is_valid(const char *version);
