#pragma once

/* Says in the depot why this instance is about to be replaced, and counts who said the same before (launch_storm.h). An upload
 * that is not delivered within FAILURE_UPLOAD_MAX holds nothing up. */

#include "agent/config.h"
#include "artifacts/depot.h"

#define FAILURE_UPLOAD_MAX (20 * UINT64_C(1000000))
#define FAILURE_UPLOAD_RETRY (2 * UINT64_C(1000000))

typedef struct FailureUpload FailureUpload;

/* One app's. */
typedef struct FailureNote {
        const char *app;
        const char *group;
        const char *version;
        const char *release_sha256;
        char *text; /* the document (failure.h), taken over */
} FailureNote;

typedef struct FailureUploadSpec {
        sd_event *event;
        Depot *depot;          /* must stay */
        const char *report_id; /* the name under which this instance writes */
        uint64_t limit;        /* how many instances may be replaced for one release, */
        uint64_t window;       /* within so long */
        uint64_t patience;     /* 0: FAILURE_UPLOAD_MAX */
} FailureUploadSpec;

/* HOLD: so many came before that this instance is to stay; failure_upload_remark() says how many. May free the upload. */
typedef void (*FailureUploadDone)(FailureUpload *upload, bool hold, void *userdata);

/* NOTES: 1 to CONFIG_APPS_MAX, whose texts are taken over in any case; everything else is copied. */
int failure_upload_start(const FailureUploadSpec *spec, FailureNote *notes, size_t n, FailureUploadDone done,
                         void *userdata, FailureUpload **ret, Error *error);
FailureUpload *failure_upload_free(FailureUpload *upload);
DEFINE_CLEANUP(FailureUpload *, failure_upload_free)

const char *failure_upload_remark(const FailureUpload *upload);
