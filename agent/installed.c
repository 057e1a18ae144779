#include <inttypes.h>
#include <string.h>

#include "agent/base/clock.h"
#include "agent/base/utf8.h"
#include "agent/files_check.h"
#include "agent/installed.h"
#include "artifacts/dsse.h"
#include "artifacts/tree_scan.h"

bool installed_is_signed(const Buffer *document) {
        return memmem(buffer_string(document), document->size, "\"payloadType\"",
                      strlen("\"payloadType\"")) != NULL;
}

static int parse_document(const char *name, const Buffer *document, Release **ret, Error *error) {
        _cleanup_dsse_envelope_ DsseEnvelope *envelope = NULL;
        int r;

        if (!installed_is_signed(document))
                return release_parse(buffer_string(document), document->size, ret, error);
        r = dsse_envelope_parse(name, buffer_string(document), document->size, &envelope, error);
        return r < 0 ? r : release_parse(envelope->payload, envelope->payload_size, ret, error);
}

int installed_load(const ReleaseStore *store, const char *name, Buffer *document, Release **ret,
                   Error *error) {
        _cleanup_release_ Release *release = NULL;
        _cleanup_buffer_ Buffer own = {};
        char expected[STORE_NAME_SIZE];
        int r;

        if (!document)
                document = &own;
        r = store_read_envelope(store, name, document, error);
        if (r >= 0)
                r = parse_document(name, document, &release, error);
        if (r < 0) {
                error_blame(error, FAULT_HOST);
                return r;
        }
        if (store_name(release->version, release->sha256, expected) < 0 || strcmp(expected, name) != 0)
                return error_set_fault(
                        error, -EBADMSG, FAULT_HOST,
                        "the document of release %s in the store is not the one that was verified", name);
        *ret = TAKE_PTR(release);
        return 0;
}

const char *installed_state_to_string(InstalledState state) {
        static const char *const names[] = {
                [INSTALLED_UNCHECKED] = "unchecked", [INSTALLED_WHOLE] = "whole",   [INSTALLED_KEPT] = "kept",
                [INSTALLED_DRIFTED] = "drifted",     [INSTALLED_FAILED] = "failed",
        };

        return names[state];
}

typedef struct Collection {
        InstalledFinding *finding;
        TreeDriftVisit visit;
        void *userdata;
} Collection;

static int collect(const TreeDrift *drift, void *userdata, Error *error) {
        const Collection *collection = userdata;
        InstalledFinding *finding = collection->finding;
        char path[INSTALLED_PATH_MAX];

        finding->counts[drift->kind]++;
        if (finding->n_shown < INSTALLED_SHOWN_MAX) {
                (void) entry_text_clean(drift->path, path, sizeof(path));
                (void) snprintf(finding->shown[finding->n_shown++], INSTALLED_LINE_MAX, "%s: %s, %s", path,
                                tree_drift_kind_to_string(drift->kind), drift->detail);
        }
        return collection->visit ? collection->visit(drift, collection->userdata, error) : 0;
}

static int check_tree(const ReleaseStore *store, const char *name, const TreeRules *rules, bool make,
                      Collection *collection, Error *error) {
        _cleanup_release_ Release *release = NULL;
        const ReleaseArtifact *artifact;
        StoreTree tree = { .rules = *rules };
        int r;

        r = installed_load(store, name, NULL, &release, error);
        if (r < 0)
                return r;
        artifact = release_find_artifact(release, release_platform());
        if (!artifact)
                return error_set(error, -EBADMSG, "release %s has no artifact for this machine", name);
        tree.sha256 = artifact->tree_sha256;
        tree.entries = artifact->entries;
        tree.unpacked_size = artifact->unpacked_size;
        return store_tree_check(store, name, &tree, make, collect, collection, error);
}

static int take_fingerprint(const ReleaseStore *store, const char *name, uint8_t ret[static DIGEST_SIZE]) {
        _cleanup_close_ int release = store_open_release(store, name, NULL);

        return release < 0 ? release : tree_fingerprint(release, ret, NULL);
}

bool installed_is_unchanged(const ReleaseStore *store, const InstalledFinding *finding) {
        uint8_t fingerprint[DIGEST_SIZE];

        return finding->has_fingerprint && finding->state != INSTALLED_UNCHECKED &&
               finding->state != INSTALLED_FAILED &&
               take_fingerprint(store, finding->name, fingerprint) >= 0 &&
               memcmp(fingerprint, finding->fingerprint, sizeof(fingerprint)) == 0;
}

void installed_check(const ReleaseStore *store, const char *name, const TreeRules *rules, bool make,
                     TreeDriftVisit visit, void *userdata, InstalledFinding *ret) {
        Collection collection = { .finding = ret, .visit = visit, .userdata = userdata };
        Error error = {};
        int r;

        *ret = (InstalledFinding){ .at = clock_realtime(&clock_system) };
        (void) snprintf(ret->name, sizeof(ret->name), "%s", name);
        ret->has_fingerprint = take_fingerprint(store, name, ret->fingerprint) >= 0;
        r = check_tree(store, name, rules, make, &collection, &error);
        switch (r) {
        case STORE_TREE_WHOLE:
                ret->state = INSTALLED_WHOLE;
                break;
        case STORE_TREE_KEPT:
                ret->state = INSTALLED_KEPT;
                break;
        case STORE_TREE_DRIFTED:
                ret->state = INSTALLED_DRIFTED;
                break;
        case STORE_TREE_UNKNOWN:
                ret->state = INSTALLED_DRIFTED;
                (void) snprintf(ret->problem, sizeof(ret->problem),
                                "it is not what was signed, and what differs cannot be told: it was changed "
                                "before its manifest was made, or that was changed too");
                break;
        default:
                ret->state = INSTALLED_FAILED;
                (void) snprintf(ret->problem, sizeof(ret->problem), "%s", error.message);
        }
}

void installed_check_files(const ReleaseStore *store, const char *name, TreeDriftVisit visit, void *userdata,
                           InstalledFinding *finding) {
        Collection collection = { .finding = finding, .visit = visit, .userdata = userdata };
        uint64_t before = installed_differences(finding);
        Error error = {};

        if (finding->state == INSTALLED_FAILED)
                return;
        if (files_check(store, name, collect, &collection, &error) < 0) {
                finding->state = INSTALLED_FAILED;
                (void) snprintf(finding->problem, sizeof(finding->problem), "%s", error.message);
        } else if (installed_differences(finding) > before) {
                finding->state = INSTALLED_DRIFTED;
        }
}

uint64_t installed_differences(const InstalledFinding *finding) {
        uint64_t n = 0;

        for (TreeDriftKind kind = 0; kind < TREE_DRIFT_KINDS; kind++)
                n += finding->counts[kind];
        return n;
}

bool installed_is_complete(const InstalledFinding *finding) {
        if (finding->state == INSTALLED_DRIFTED)
                return !finding->problem[0] && finding->counts[TREE_CHANGED] == 0 &&
                       finding->counts[TREE_MISSING] == 0;
        return finding->state == INSTALLED_WHOLE || finding->state == INSTALLED_KEPT;
}

void installed_describe(const InstalledFinding *finding, char *ret, size_t size) {
        _cleanup_buffer_ Buffer text = {};
        const char *separator = "";

        *ret = '\0';
        (void) buffer_printf(&text, "%s", finding->problem);
        for (TreeDriftKind kind = 0; kind < TREE_DRIFT_KINDS; kind++)
                if (finding->counts[kind] > 0) {
                        (void) buffer_printf(&text, "%s%" PRIu64 " %s", separator, finding->counts[kind],
                                             tree_drift_kind_to_string(kind));
                        separator = ", ";
                }
        for (size_t i = 0; i < finding->n_shown; i++)
                (void) buffer_printf(&text, "%s%s", i == 0 ? " (" : "; ", finding->shown[i]);
        if (finding->n_shown > 0)
                (void) buffer_printf(&text, "%s)",
                                     installed_differences(finding) > finding->n_shown ? "; …" : "");
        utf8_format(ret, size, "%s", buffer_string(&text));
}
