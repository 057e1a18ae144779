#pragma once

/* What of a release is installed outside of its own folder: the sections `files` and `file_exists_behavior`, as CodeDeploy
 * has them (https://docs.aws.amazon.com/codedeploy/latest/userguide/reference-appspec-file-structure-files.html):
 *
 *   { "source": "web", "destination": "/var/www/html" }              all that is in the folder web
 *   { "source": "conf/app.conf", "destination": "/etc/app" }         /etc/app/app.conf
 *   { "source": "/", "destination": "/srv/app", "mode": "link" }     ours: /srv/app becomes a link to the release's folder
 *
 * Which files that makes is known with the release's tree: file_map.h. */

#include "artifacts/document.h"

#define RELEASE_FILES_MAX 1000U
#define RELEASE_DESTINATION_MAX 1024U

typedef enum ReleaseFileMode {
        RELEASE_FILE_COPY,
        RELEASE_FILE_LINK,
} ReleaseFileMode;

/* What is there and was not installed by muster. */
typedef enum ReleaseFileExists {
        RELEASE_FILE_DISALLOW, /* the deployment fails */
        RELEASE_FILE_OVERWRITE,
        RELEASE_FILE_RETAIN, /* stays, and what the release has for that place is not installed */
} ReleaseFileExists;

typedef struct ReleaseFile {
        char *source;      /* of the tree, "" for all of it */
        char *destination; /* an absolute path without "." or "..", doubled or trailing slashes */
        unsigned mode;     /* ReleaseFileMode */
        unsigned line;     /* of its source in an appspec; 0: not known */
} ReleaseFile;

typedef SCHEMA_LIST(ReleaseFile) ReleaseFiles;

/* The list; neither lies beneath what another one makes a link. */
extern const SchemaType release_files_type;
extern const SchemaType release_file_exists_type;

/* Of `destination` and `object`: what is left of an absolute path without ".", doubled and trailing slashes. */
extern const SchemaType release_place_type;

/* Whether nothing can be installed at PATH: the kernel's own folders, and what the agent keeps while it runs. Where the state
 * lies only the instance knows. */
bool release_place_is_refused(const char *path);

/* Whether PATH is FOLDER or lies beneath it; both as above. */
bool release_place_is_within(const char *path, const char *folder);
