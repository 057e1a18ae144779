#pragma once

/* What `files` means in a tree that has links to folders: CodeDeploy's agent follows them, so a source that is one, or that
 * lies behind one, is the folder that it leads to. Pure; done when a release is made, so that instances need not do it. */

#include "agent/base/error.h"
#include "artifacts/release_files.h"

/* Rewrites the sources of FILES by the manifest (tree_manifest.h) of the tree. A link to anything else than a folder stays
 * what it is, a link that is installed. -ENOMEM, -EBADMSG for what is no manifest. */
int file_source_resolve(ReleaseFiles *files, const void *manifest, size_t size, Error *error);
