#pragma once

/* Keeps a muster-unpack that an archive has taken over from filling the file system. The sandbox has no quota, since few
 * file systems have one; so musterd looks at the file system ten times a second, which costs nothing, and where more is gone
 * than was signed (with a margin: others write there as well) a child process counts what lies in the staging folder and what
 * the unpacker holds open without a name. More than was signed there is never an honest unpacker's.
 *
 * So beyond what was signed (and half of it again: names of one file that come while it is counted) there may be at most UNPACK_WATCH_MARGIN bytes (an eighth of what is free, if that is less) and
 * UNPACK_WATCH_MARGIN_INODES names, and what can be written within about two of its intervals. No file is larger than all of
 * them together may be (RLIMIT_FSIZE, which muster-unpack gives itself before it reads any of the archive). */

#include <systemd/sd-event.h>

#include "agent/base/error.h"

#define UNPACK_WATCH_INTERVAL (100 * USEC_PER_MSEC)
#define UNPACK_WATCH_MARGIN (UINT64_C(32) << 20)
#define UNPACK_WATCH_MARGIN_INODES UINT64_C(1000)

typedef struct UnpackWatchSpec {
        sd_event *event;
        int fd;    /* of the staging folder; must stay */
        uid_t uid; /* whom what is unpacked belongs to */
        uint64_t entries;
        uint64_t bytes;
} UnpackWatchSpec;

typedef struct UnpackWatch UnpackWatch;

/* There is more than was signed: the release's fault. Called at most once. */
typedef void (*UnpackWatchExcess)(UnpackWatch *watch, const Error *error, void *userdata);

int unpack_watch_new(const UnpackWatchSpec *spec, UnpackWatchExcess excess, void *userdata, UnpackWatch **ret,
                     Error *error);
UnpackWatch *unpack_watch_free(UnpackWatch *watch);
DEFINE_CLEANUP(UnpackWatch *, unpack_watch_free)

/* Counts. -EBADMSG, the release's fault, for more than was signed; blocks. */
int unpack_watch_count(const UnpackWatchSpec *spec, Error *error);
