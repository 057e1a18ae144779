#pragma once

/* The releases that are installed here: what the store keeps of each, and whether its tree is still what was published. */

#include "agent/base/buffer.h"
#include "artifacts/release.h"
#include "artifacts/store_tree.h"

/* Reads what lies beside the release NAME in the store, signed or (a local one) not, and parses it. What lies there was
 * verified before it got there; that it is this very document is said by NAME, which has the first digits of its digest.
 * -ENOENT, -EBADMSG: the host's fault. DOCUMENT gets the bytes, and may be NULL. */
int installed_load(const ReleaseStore *store, const char *name, Buffer *document, Release **ret,
                   Error *error);

/* Whether a document is an envelope with signatures, and not a local release's. */
bool installed_is_signed(const Buffer *document);

typedef enum InstalledState {
        INSTALLED_UNCHECKED, /* not yet */
        INSTALLED_WHOLE,     /* as it was signed */
        INSTALLED_KEPT,      /* as it was installed; it was published without a digest of its tree */
        INSTALLED_DRIFTED,
        INSTALLED_FAILED, /* it cannot be told: PROBLEM says why */
} InstalledState;

const char *installed_state_to_string(InstalledState state); /* "unchecked", "whole", … */

#define INSTALLED_SHOWN_MAX 5U
#define INSTALLED_PATH_MAX 160U /* of a path in it; a longer one is cut */
#define INSTALLED_LINE_MAX (INSTALLED_PATH_MAX + TREE_DETAIL_MAX + 16U)

typedef struct InstalledFinding {
        char name[STORE_NAME_SIZE];
        InstalledState state;
        uint64_t counts[TREE_DRIFT_KINDS];
        char shown[INSTALLED_SHOWN_MAX]
                  [INSTALLED_LINE_MAX]; /* the first differences: "bin/app: changed, other content" */
        size_t n_shown;
        char problem[ERROR_MESSAGE_MAX]; /* why it is drifted without counts, or failed; else "" */
        uint64_t at;                     /* when it was looked at; microseconds since 1970 */
        bool has_fingerprint;
        uint8_t fingerprint[DIGEST_SIZE]; /* of the tree before that: tree_fingerprint() */
} InstalledFinding;

/* Compares the tree with its manifest; reads all of it. With MAKE a missing manifest is made. VISIT, which may be NULL, is
 * told each difference. The release's entries must belong to RULES. */
void installed_check(const ReleaseStore *store, const char *name, const TreeRules *rules, bool make,
                     TreeDriftVisit visit, void *userdata, InstalledFinding *ret);

/* The same for what the release NAME, the good one, has installed outside of its folder: what differs is added to FINDING,
 * which is of its tree. */
void installed_check_files(const ReleaseStore *store, const char *name, TreeDriftVisit visit, void *userdata,
                           InstalledFinding *finding);

/* Whether nothing has been done to the tree since FINDING, which then still holds. Reads no content. */
bool installed_is_unchanged(const ReleaseStore *store, const InstalledFinding *finding);

/* How many differences there are. */
uint64_t installed_differences(const InstalledFinding *finding);

/* All content that was signed is there unchanged; at most there is more, or of other modes and owners (as install hooks
 * leave it). */
bool installed_is_complete(const InstalledFinding *finding);

/* One line: "2 changed (bin/app: changed, other content; …)" or "". */
void installed_describe(const InstalledFinding *finding, char *ret, size_t size);
