#pragma once

/* What is in a folder, in an order that is the same everywhere. */

#include <dirent.h>

/* The names but "." and "..", sorted byte by byte; new memory, NULL-terminated, NULL for none. Negative errno. */
int folder_names(DIR *dir, char ***ret);
