#pragma once

/* An archive opened with libarchive on top of a source, and what libarchive does not check: that the archive begins
 * where the source begins and ends where it ends. */

#include <archive.h>

#include "agent/base/error.h"
#include "artifacts/unpack_protocol.h"
#include "artifacts/unpack_source.h"

typedef struct UnpackInput UnpackInput;

int unpack_input_open(const UnpackLimits *limits, const UnpackSource *source, UnpackInput **ret,
                      Error *error);
UnpackInput *unpack_input_free(UnpackInput *input);
DEFINE_CLEANUP(UnpackInput *, unpack_input_free)

/* To read headers and data from. */
struct archive *unpack_input_archive(UnpackInput *input);

/* Whether the archive says modes. One that does not, such as a zip made on Windows, gets libarchive's. */
bool unpack_input_has_modes(const UnpackInput *input);

/* Why libarchive failed, or what it warned of: what its input reported, else what it says itself. */
int unpack_input_error(const UnpackInput *input, Error *error);

/* After the last entry: nothing but padding may follow. */
int unpack_input_finish(UnpackInput *input, Error *error);
