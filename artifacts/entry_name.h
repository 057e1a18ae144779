#pragma once

/* The rules for names within an archive and for what a link may point to. Pure. The packer, the unpacker and the store
 * all keep them, so that what is published is what can be installed.
 *
 * Refusals return -EBADMSG with the reason as a sentence that does not name the entry; the caller does. */

#include <stdbool.h>
#include <stddef.h>

#include "agent/base/error.h"

#define ENTRY_COMPONENT_MAX 255U    /* bytes, as file systems have it */
#define ENTRY_LINK_TARGET_MAX 4095U /* bytes, as the kernel has it */

/* What is left of a mode in a release, which is root's, user and group: write for nobody else. Archives that were made with a
 * umask of 002 have files of 0664, and those are installed so; who may add names to a folder is no archive's business. */
#define ENTRY_MODE_MASK 0775U
#define ENTRY_FOLDER_MODE_MASK 0755U

/* Whether TEXT is valid UTF-8 without control characters. */
bool entry_text_is_valid(const char *text, size_t length);

/* Copies what of TEXT fits into SIZE bytes with the zero byte at its end; what is not valid text becomes "?". Returns the
 * length. */
size_t entry_text_clean(const char *text, char *ret, size_t size);

/* Writes NAME without "." components, doubled and trailing slashes to RET, which has room for strlen(NAME) + 1 bytes;
 * "" is the root of the tree. Refuses absolute names, "..", bad text, a component, path or depth too long. */
int entry_name_normalise(const char *name, size_t path_max, size_t depth_max, char *ret, Error *error);

/* Refuses the TARGET of a symbolic link at PATH (normalised) unless it stays within the tree: relative, with ".." only at
 * its beginning and no more of them than PATH has folders. Since no entry is ever created beneath a link, the folders
 * that such a ".." climbs are real ones; and since what follows climbs no more, no chain of such links leads out. */
int entry_link_check(const char *path, const char *target, Error *error);
