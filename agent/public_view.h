#pragma once

/* What everybody on the instance may see of the state and the history on the bus: all but what hooks and checks printed, which
 * may be anything, passwords too. That is root's, as the files and the journal are that it comes from. */

#include <jansson.h>
#include <stddef.h>

/* Takes it out of a value of musterd(8), wherever it stands. -ENOMEM: what is left is not for everybody. */
int public_view_make(json_t *value);

/* The same of a reason: so much of it is for everybody. */
size_t public_view_length(const char *reason);
