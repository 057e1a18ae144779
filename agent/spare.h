#pragma once

/* Room that is kept for the way back. What goes back needs next to nothing of a disk: names that are made beside what they
 * replace, a record of what was done. Where the disk ran full in the middle of a deployment there is nothing, of bytes or of
 * inodes. So each app keeps a few files in the folder spare/, which are given up when they are needed. */

#include <stdbool.h>

#define SPARE_FOLDER "spare"
#define SPARE_FILES 8U
#define SPARE_FILE_SIZE (64U << 10)

/* Makes what is missing of it. Where there is not much room, the deployment does without. */
void spare_keep(int app_fd);

/* Whether R is that there is no room, and some was given up now: what has failed may be tried again. */
bool spare_helps(int app_fd, int r);
