#pragma once

/* What musterd answers, for people: status and history as text. Pure: JSON text in, lines out. The shapes are
 * musterd(8)'s; members that are missing are shown as "-", so that a newer or older musterd can be read too. */

#include <jansson.h>
#include <stdint.h>

#include "agent/cli/cli.h"

/* NOW in microseconds since 1970. -EBADMSG if the text is no JSON object. */
int view_status(const char *json, uint64_t now, FILE *stream, const Style *style, Error *error);

/* With DETAILED every step of every deployment is shown. */
int view_history(const char *json, bool detailed, uint64_t now, FILE *stream, const Style *style,
                 Error *error);

/* The text of WHAT as an object all of whose texts are fit for a terminal. -EBADMSG. */
int view_parse(const char *text, const char *what, json_t **ret, Error *error);

/* Makes all texts of a value fit for a terminal, each one line, but for what a program printed ("output_tail"). -ENOMEM. */
int view_make_printable(json_t *value);

/* "3h ago", "just now". Microseconds since 1970. */
#define VIEW_AGE_MAX 48
void view_age(uint64_t then, uint64_t now, char ret[static VIEW_AGE_MAX]);

/* Each step of a deployment of the history, with what was printed last. */
void view_steps(const json_t *deployment, FILE *stream, const Style *style);

/* What people call a step, of an object with "step" and perhaps "event": the lifecycle event whose hooks it runs, but
 * in a rollback the step. Belongs to the object. */
const char *view_step_name(const json_t *step);
