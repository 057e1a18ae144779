#pragma once

/* The descriptor that a fetch writes to: a pipe or socket, never waited for, or a regular file. */

#include <stdbool.h>
#include <systemd/sd-event.h>

#include "agent/base/error.h"

typedef struct FetchOutput FetchOutput;

/* Called from the event loop when the reader has made room after a write that took nothing or only a part. */
typedef void (*FetchOutputReady)(void *userdata);

/* FD is duplicated and, unless it is a regular file, made non-blocking; a pipe is made larger if that is
 * allowed. */
int fetch_output_new(sd_event *event, int fd, FetchOutputReady ready, void *userdata, FetchOutput **ret,
                     Error *error);

/* Closes the duplicate. Returns NULL. */
FetchOutput *fetch_output_free(FetchOutput *output);
DEFINE_CLEANUP(FetchOutput *, fetch_output_free)

/* How many bytes were taken; after fewer than SIZE, none are taken until READY has been called. -EPIPE if
 * nobody reads any more; other errnos of write(2). */
ssize_t fetch_output_write(FetchOutput *output, const void *data, size_t size);

/* The last write was cut short, and READY has not been called yet. */
bool fetch_output_is_blocked(const FetchOutput *output);
