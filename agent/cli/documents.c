#include "agent/cli/documents.h"
#include "artifacts/layout.h"

void stored_document_deinit(StoredDocument *document) {
        free(document->envelope);
        free(document->etag);
}

static int read_document(const DepotAccess *access, const char *key, StoredDocument *ret, Error *error) {
        _cleanup_depot_reply_ DepotReply reply = {};
        int r;

        r = depot_access_get(access, key, DSSE_ENVELOPE_SIZE_MAX, &reply, error);
        ret->server_time = reply.server_time;
        if (r < 0 || reply.outcome == DEPOT_NOT_FOUND)
                return r;
        ret->envelope = TAKE_PTR(reply.body);
        ret->size = reply.body_size;
        ret->etag = TAKE_PTR(reply.etag);
        return 0;
}

int documents_read_target(const DepotAccess *access, const char *app, const char *group, StoredDocument *ret,
                          Error *error) {
        char key[LAYOUT_KEY_MAX];
        int r;

        r = layout_target(app, group, key, error);
        return r < 0 ? r : read_document(access, key, ret, error);
}

int documents_read_freshness(const DepotAccess *access, const char *app, const char *group,
                             StoredDocument *ret, Error *error) {
        char key[LAYOUT_KEY_MAX];
        int r;

        r = layout_freshness(app, group, key, error);
        return r < 0 ? r : read_document(access, key, ret, error);
}

int documents_read_release(const DepotAccess *access, const char *app, const char *version,
                           StoredDocument *ret, Error *error) {
        char key[LAYOUT_KEY_MAX];
        int r;

        r = layout_release(app, version, key, error);
        return r < 0 ? r : read_document(access, key, ret, error);
}

int documents_no_release(const DepotAccess *access, const char *app, const char *version, Error *error) {
        return error_set_fault(error, -ENOENT, FAULT_INPUT, "%s has no version %s in %s", app, version,
                               depot_uri(access->depot));
}

int documents_get_release(const DepotAccess *access, const TrustRoot *root, uint64_t now, const char *app,
                          const char *version, const char *sha256, Release **ret, Error *error) {
        _cleanup_stored_document_ StoredDocument document = {};
        int r;

        r = documents_read_release(access, app, version, &document, error);
        if (r < 0)
                return r;
        if (!document.envelope)
                return documents_no_release(access, app, version, error);
        return release_open(root, document.envelope, document.size, now, app, version, sha256, ret, error);
}

int documents_no_target(const DepotAccess *access, const char *app, const char *group, Error *error) {
        return error_set_fault(error, -ENOENT, FAULT_INPUT, "%s has no target for the group %s in %s", app,
                               group, depot_uri(access->depot));
}

int documents_get_target(const DepotAccess *access, const TrustRoot *root, uint64_t now, const char *app,
                         const char *group, Target **ret, Error *error) {
        _cleanup_stored_document_ StoredDocument document = {};
        int r;

        r = documents_read_target(access, app, group, &document, error);
        if (r < 0)
                return r;
        if (!document.envelope)
                return documents_no_target(access, app, group, error);
        return target_open(root, document.envelope, document.size, now, app, group, ret, error);
}

int documents_payload(const char *name, const StoredDocument *document, uint8_t **ret, size_t *ret_size,
                      Error *error) {
        _cleanup_dsse_envelope_ DsseEnvelope *envelope = NULL;
        int r;

        r = dsse_envelope_parse(name, document->envelope, document->size, &envelope, error);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(envelope->payload);
        *ret_size = envelope->payload_size;
        return 0;
}
