#pragma once

/* A page that is drawn over itself on a terminal, again and again: --watch. What does not fit is left out, with a word at
 * its end, so that nothing scrolls away. */

#include <stdio.h>

#include "agent/base/buffer.h"
#include "agent/base/error.h"
#include "agent/cli/cli.h"

/* Pure: TEXT, lines of which none is longer than COLUMNS and which are at most ROWS, as what has to be written for that.
 * Escape sequences that set a style take no room. -ENOMEM. */
int screen_compose(const char *text, unsigned rows, unsigned columns, Buffer *ret);

/* Draws it on a terminal of whatever size it has now. -ENOMEM. */
int screen_draw(FILE *stream, const char *text);

/* Writes the text to STREAM. Negative errno: it failed, for want of memory. */
typedef int (*ScreenPrint)(FILE *stream, const void *userdata);

/* Draws what PRINT writes, below PROBLEM: why the last look failed, "" if it did not. -ENOMEM. */
int screen_show(FILE *stream, const Style *style, const char *problem, ScreenPrint print,
                const void *userdata, Error *error);
