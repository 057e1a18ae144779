#pragma once

/* A rollout for people, from its picture (rollout_picture.h). Pure. */

#include <jansson.h>

#include "agent/cli/cli.h"

/* The whole: head, stages with bars, what failed, a row for each instance. NOW in microseconds since 1970. -ENOMEM. */
int rollout_page_print(const json_t *picture, uint64_t now, FILE *stream, const Style *style);

/* A line for what is new since OLD (NULL: all is), each with the time before it. */
void rollout_page_news(const json_t *old, const json_t *picture, uint64_t now, FILE *stream);

/* What failed, with the last lines that were printed there; nothing where nothing did. */
void rollout_page_failures(const json_t *picture, uint64_t now, FILE *stream, const Style *style);
