#pragma once

/* Brings an artifact into the release store: stages a folder, starts muster-unpack in its sandbox, feeds it the
 * verified bytes as they arrive, and once it is gone commits what it left. Download, verification, decompression and
 * writing overlap. For a zip, which must be sought in, the archive is first received into an unlinked file. */

#include <systemd/sd-event.h>

#include "artifacts/depot.h"
#include "artifacts/release.h"
#include "artifacts/store.h"
#include "units/manager.h"

typedef struct Receive Receive;

typedef struct ReceiveSpec {
        sd_event *event;
        Manager *manager;
        ReleaseStore *store;
        const char *app;
        const char *deployment;
        Depot *depot;   /* where ARTIFACT is, unless ARCHIVE_FD is one */
        int archive_fd; /* a local archive, or -1; borrowed until the end */
        const ReleaseArtifact *artifact;
        const char *version;
        const char *release_sha256;
        uint64_t created;     /* of the release: what a file has that its archive gives no time */
        const void *document; /* kept beside the release in the store */
        size_t document_size;
        bool replace; /* a release of that name is in the store, and is not to be used */
} ReceiveSpec;

/* RESULT 0: the release is in the store. -EBADMSG with the release's fault for what is not as signed; the host's
 * faults otherwise. */
typedef void (*ReceiveDone)(Receive *receive, int result, const Error *error, void *userdata);
typedef void (*ReceiveProgress)(Receive *receive, uint64_t written, uint64_t total, void *userdata);

int receive_start(const ReceiveSpec *spec, ReceiveDone done, ReceiveProgress progress, void *userdata,
                  Receive **ret, Error *error);

/* Ends the unpacker, too; the staging folder is removed by store_clean() later. Returns NULL. */
Receive *receive_free(Receive *receive);
DEFINE_CLEANUP(Receive *, receive_free)
