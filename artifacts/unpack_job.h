#pragma once

/* All that muster-unpack does: reads limits and an archive, fills a folder, reports. See unpack_protocol.h. */

/* INPUT_FD: a pipe, or a file positioned at the limits. FOLDER_FD: what to fill, empty. OUTPUT_FD: where the lines go.
 * 0 if the whole archive was unpacked, else what was reported. The umask must be 0. */
int unpack_job(int input_fd, int folder_fd, int output_fd);
