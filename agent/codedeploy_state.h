#pragma once

/* What the agent of AWS CodeDeploy has left on a disk, below its root_dir (release 1.8 and those before it):
 *
 *     <group>/<deployment>/deployment-archive/                  the unpacked bundle
 *     deployment-instructions/<group>_last_successful_install   the folder of the deployment whose files are in place
 *     deployment-instructions/<group>_most_recent_install       the folder of the last one that was begun
 *     deployment-instructions/<group>-install.json              what that install was to copy
 *     deployment-instructions/<group>-cleanup                   what of it was put there: what the next one removes
 *     ongoing-deployment/<deployment>                           one that runs
 *
 * <group> is the id of a deployment group, <deployment> that of a deployment. All of it is read as a stranger's, whose
 * writer may have died at any moment. Nothing is changed. */

#include <stdbool.h>
#include <stddef.h>

#include "agent/base/error.h"
#include "agent/base/strv.h"

#define CODEDEPLOY_GROUPS_MAX 256U
#define CODEDEPLOY_INSTRUCTIONS_SIZE_MAX (256U * 1024U * 1024U)

typedef struct CodedeployGroup {
        char *id;
        char *last_successful; /* its deployment's id, or NULL */
        char *most_recent;     /* likewise */
        char *archive;    /* the last successful one's deployment-archive, absolute; NULL: it is not there */
        char **installed; /* absolute paths, folders before what is in them */
        size_t n_installed;
        char *problem; /* why what it deployed cannot be taken over, one sentence; NULL: it can be */
} CodedeployGroup;

typedef struct CodedeployState {
        CodedeployGroup *groups; /* sorted by id */
        size_t n;
        char **ongoing; /* deployments that run, as far as the agent noted */
} CodedeployState;

void codedeploy_state_deinit(CodedeployState *state);

/* ROOT_DIR is absolute. 1, or 0 where there is no such folder. A group whose files make no sense has a `problem`; errors are
 * the disk's. */
int codedeploy_state_read(const char *root_dir, CodedeployState *ret, Error *error);

/* NULL where there is none. */
const CodedeployGroup *codedeploy_state_find(const CodedeployState *state, const char *id);

/* The parts, pure. */

/* The deployment's id in what a pointer file says, "<root>/<group>/<deployment>", wherever the root was by then. New memory.
 * -EBADMSG for anything else. */
int codedeploy_parse_pointer(const char *group, const void *data, size_t size, char **ret);

/* What an install was to copy: one of the sources (NULL: it copied nothing), and how many files and folders it was to make. */
typedef struct CodedeployInstructions {
        char *source;
        size_t n;
} CodedeployInstructions;
int codedeploy_parse_instructions(const char *name, const void *data, size_t size,
                                  CodedeployInstructions *ret, Error *error);
