#pragma once

/* Puts a release in force on the disk, or takes it out: the environment of its units, `current`, and its unit files. No
 * unit is touched and systemd is not told: that is for whoever called. What is in place already is left as it is.
 *
 * The environment of units lies in environments/<release>-<first 12 of the digest of the group's values>, and
 * `environment` is a symbolic link to the one in force: so going back is repointing, whatever the group's values were
 * then. */

#include "agent/record.h"
#include "artifacts/release.h"
#include "artifacts/store.h"
#include "units/unit_file.h"

typedef struct Placement {
        const ReleaseStore *store;
        const UnitFiles *files;
        const char *app;
        bool units_changed; /* set where it made a difference: systemd must reload */
} Placement;

/* Writes the environment of a release with the group's values. */
int placement_write_environment(const Placement *placement, const ReleaseRef *ref, const Release *release,
                                char *const *group_environment, const char *env_sha256, Error *error);

/* Environment, `current`, unit files, in this order. The environment must have been written. */
int placement_put(Placement *placement, const ReleaseRef *ref, const Release *release, const char *env_sha256,
                  Error *error);

/* The same with the good release, with what it ran with when it was good. RELEASE is its document. */
int placement_put_back(Placement *placement, const Record *record, const Release *release, Error *error);

/* Removes `current` and the link to the environment. */
int placement_clear(Placement *placement, Error *error);

/* Removes the environments that are neither in force nor the good release's, to which the way back may still lead. For when
 * no deployment runs. */
void placement_prune_environments(const ReleaseStore *store, const Record *record);

/* The units that the app owns on this machine and RELEASE (NULL: none) does not have. NULL if there are none. */
int placement_list_surplus(const Placement *placement, const Release *release, char ***ret, Error *error);
