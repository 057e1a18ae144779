#pragma once

/* An HTTP answer as it comes in: status, headers, and the body where that stays in memory. Only http.c uses it. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/base/buffer.h"
#include "agent/base/error.h"

typedef struct HttpAnswer {
        int status; /* 0: nothing has come yet */
        Buffer headers; /* "Name: value" of the last answer (a 100 Continue comes before it), a zero byte after each */
        bool headers_end;
        Buffer body;
        size_t limit;      /* of BODY */
        uint64_t received; /* bytes of the body, wherever they went */
        uint64_t sunk;     /* those that went to the sink */
} HttpAnswer;

void http_answer_deinit(HttpAnswer *answer); /* wipes the body */

/* One line as it came, with its line break; a status line begins a new answer. -E2BIG, -ENOMEM. */
int http_answer_take_line(HttpAnswer *answer, const char *line, size_t size, Error *error);

/* A piece of the body, to be kept. LENGTH is the whole body's, -1: unknown. -E2BIG, -ENOMEM. */
int http_answer_keep(HttpAnswer *answer, const void *data, size_t size, int64_t length, Error *error);

bool http_answer_is_success(const HttpAnswer *answer); /* 2xx */

/* The value of the first header of that name, whatever its case; NULL: there is none. */
const char *http_answer_header(const HttpAnswer *answer, const char *name);
