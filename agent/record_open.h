#pragma once

/* The deploy record of an app as it is found at start: read, rebuilt where it cannot be, and with nothing in it that another
 * machine wrote, before an image was made of that. */

#include "agent/machine.h"
#include "agent/record_rebuild.h"

#define RECORD_NOTE_MAX (ERROR_MESSAGE_MAX + 128)
#define RECORD_BAD_FILE "record.json.bad" /* one that could not be read is kept as this */

typedef struct RecordOwner {
        const char *app;
        /* as musterd knows it; NULL: it does not, at boot and without a configuration */
        const char *instance;
        const char *configured; /* the configuration's instance_id, or NULL */
        const Machine *machine; /* NULL: not looked at */
} RecordOwner;

/* Reads, and changes nothing on the disk. NOTE says what is unusual, or "". -EPROTONOSUPPORT: a newer muster wrote it, and
 * only that one may act on it. Faults of the disk are the host's. */
int record_read(const ReleaseStore *store, uint64_t now, Record *ret, char note[static RECORD_NOTE_MAX],
                Error *error);

/* Pure: whether another machine wrote it, as far as OWNER tells. */
bool record_is_foreign(const Record *record, const RecordOwner *owner);

/* The same for musterd: what could not be read is set aside, another machine's history goes, and so does, by a deployment
 * that is going back to nothing, what runs of its release; store, serial floor and trust root stay. */
int record_open(const ReleaseStore *store, const RecordOwner *owner, uint64_t now, Record *ret,
                char note[static RECORD_NOTE_MAX], Error *error);
