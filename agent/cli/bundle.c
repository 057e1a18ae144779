#include <assert.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/base/file.h"
#include "agent/base/hex.h"
#include "agent/base/parse.h"
#include "agent/base/strv.h"
#include "agent/cli/bundle.h"
#include "agent/cli/progress.h"
#include "artifacts/appspec.h"
#include "artifacts/archive_inspect.h"
#include "artifacts/pack.h"

#define TEMPORARY_FOLDER "/var/tmp" /* what is packed may be larger than memory */

void bundle_deinit(Bundle *bundle) {
        bundle->folder = close_fd(bundle->folder);
        bundle->archive = close_fd(bundle->archive);
        buffer_deinit(&bundle->appspec);
        artifact_digest_deinit(&bundle->digest);
}

/* Opening */

static int open_folder(Bundle *bundle, Error *error) {
        int r;

        r = file_read_at(bundle->folder, APPSPEC_FILE_NAME, APPSPEC_SIZE_MAX, &bundle->appspec);
        if (r == -ELOOP)
                return error_set_fault(error, r, FAULT_INPUT, "%s/%s is a symbolic link; expected a file",
                                       bundle->path, APPSPEC_FILE_NAME);
        if (r < 0 && r != -ENOENT)
                return error_set_errno(error, r, "%s/%s", bundle->path, APPSPEC_FILE_NAME);
        bundle->has_appspec = r >= 0;
        return 0;
}

static void take_facts(Bundle *bundle, const ArchiveFacts *facts) {
        bundle->format = facts->format;
        bundle->entries = facts->entries;
        bundle->unpacked_size = facts->unpacked_size;
        memcpy(bundle->tree_sha256, facts->tree_sha256, sizeof(bundle->tree_sha256));
}

static int open_archive(Bundle *bundle, Error *error) {
        ArchiveFacts facts;
        int r;

        r = archive_inspect(bundle->archive, APPSPEC_FILE_NAME, APPSPEC_SIZE_MAX, &bundle->appspec, &facts,
                            error);
        bundle->has_appspec = r >= 0;
        if (r == -ENOENT)
                r = archive_inspect(bundle->archive, NULL, 0, NULL, &facts, error);
        if (r < 0) {
                error_prefix(error, "%s", bundle->path);
                return r;
        }
        take_facts(bundle, &facts);
        return 0;
}

static int open_path(Bundle *bundle, Error *error) {
        _cleanup_close_ int fd = -1;
        struct stat st;

        fd = file_open_at(AT_FDCWD, bundle->path, O_RDONLY | O_NONBLOCK, 0);
        if (fd < 0)
                return error_set_errno(error, fd, "%s", bundle->path);
        if (fstat(fd, &st) < 0)
                return error_set_errno(error, -errno, "%s", bundle->path);
        if (S_ISDIR(st.st_mode)) {
                bundle->folder = TAKE_FD(fd);
                return open_folder(bundle, error);
        }
        if (!S_ISREG(st.st_mode)) /* an archive is read more than once */
                return error_set_fault(error, -EINVAL, FAULT_INPUT,
                                       "%s: expected a folder, or a file that is an archive", bundle->path);
        bundle->archive = TAKE_FD(fd);
        return open_archive(bundle, error);
}

int bundle_open(const char *platform, const char *path, Bundle *ret, Error *error) {
        Bundle bundle = { .path = path, .platform = platform, .folder = -1, .archive = -1 };
        int r;

        r = open_path(&bundle, error);
        if (r < 0) {
                bundle_deinit(&bundle);
                return r;
        }
        *ret = bundle;
        return 0;
}

/* Files that the release names */

#define NAMED_FILES_MAX (LIFECYCLE_EVENT_COUNT * RELEASE_HOOKS_MAX + RELEASE_UNITS_MAX + RELEASE_HEALTH_MAX)

typedef struct NamedFiles {
        const char *paths[NAMED_FILES_MAX];
        const char *sections[NAMED_FILES_MAX]; /* where each is named */
        bool found[NAMED_FILES_MAX];
        size_t n;
} NamedFiles;

static void add_file(NamedFiles *files, const char *path, const char *section) {
        if (!path || path[0] == '/' || files->n >= NAMED_FILES_MAX)
                return;
        files->paths[files->n] = path;
        files->sections[files->n++] = section;
}

static void collect_files(const Release *release, NamedFiles *files) {
        for (LifecycleEvent event = 0; event < LIFECYCLE_EVENT_COUNT; event++)
                for (size_t i = 0; i < release->hooks[event].n; i++)
                        add_file(files, release->hooks[event].items[i].location,
                                 lifecycle_event_to_string(event));
        for (size_t i = 0; i < release->units.n; i++)
                add_file(files, release->units.items[i].file, "units");
        for (size_t i = 0; i < release->health.n; i++)
                if (release->health.items[i].command.n > 0)
                        add_file(files, release->health.items[i].command.items[0], "health");
}

/* A link is left to what it leads to: the packer has its rules for links. */
static bool folder_has_file(int folder, const char *path) {
        _cleanup_close_ int fd = -1;
        struct stat st;

        fd = file_open_at(folder, path, O_PATH, 0);
        if (fd < 0)
                return fd == -ELOOP;
        return fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
}

static int find_files(const Bundle *bundle, NamedFiles *files, Error *error) {
        if (bundle->folder < 0)
                return archive_find(bundle->archive, files->paths, files->n, files->found, error);
        for (size_t i = 0; i < files->n; i++)
                files->found[i] = folder_has_file(bundle->folder, files->paths[i]);
        return 0;
}

int bundle_check_files(const Bundle *bundle, const Release *release, Error *error) {
        NamedFiles files = {};
        int r;

        collect_files(release, &files);
        r = files.n > 0 ? find_files(bundle, &files, error) : 0;
        if (r < 0)
                return r;
        for (size_t i = 0; i < files.n; i++)
                if (!files.found[i])
                        return error_set_fault(error, -ENOENT, FAULT_INPUT,
                                               "%s: there is no file %s, which %s names in %s", bundle->path,
                                               files.paths[i], files.sections[i], APPSPEC_FILE_NAME);
        return 0;
}

/* Packing */

static const char *temporary_folder(void) {
        const char *folder = getenv("TMPDIR");

        return folder && *folder ? folder : TEMPORARY_FOLDER;
}

static int open_temporary(Error *error) {
        const char *folder = temporary_folder();
        int fd;

        fd = file_open_at(AT_FDCWD, folder, O_TMPFILE | O_RDWR, 0600);
        return fd < 0 ? error_set_errno(error, fd, "cannot make a temporary file in %s", folder) : fd;
}

/* https://reproducible-builds.org/specs/source-date-epoch/ */
static int source_date(int64_t *ret, Error *error) {
        const char *text = getenv("SOURCE_DATE_EPOCH");
        uint64_t seconds = 0;

        if (text && *text && (parse_u64(text, &seconds) < 0 || seconds > INT32_MAX))
                return error_set_fault(error, -EINVAL, FAULT_INPUT,
                                       "SOURCE_DATE_EPOCH is \"%.32s\", expected seconds since 1970", text);
        *ret = (int64_t) seconds;
        return 0;
}

static void on_packed(_unused_ uint64_t entries, uint64_t bytes, void *userdata) {
        progress_update(userdata, bytes);
}

/* What was packed is read as an instance will read it; what it unpacks to is signed with it. */
static int inspect_packed(Bundle *bundle, const PackResult *packed, Error *error) {
        ArchiveFacts facts;
        int r;

        r = archive_inspect(bundle->archive, NULL, 0, NULL, &facts, error);
        if (r < 0)
                return r;
        if (facts.entries != packed->entries || facts.unpacked_size != packed->unpacked_size)
                return error_set_fault(error, -EIO, FAULT_HOST, "the archive does not hold what was packed");
        take_facts(bundle, &facts);
        return 0;
}

static int pack(Bundle *bundle, const Cli *cli, Error *error) {
        PackOptions options = { .progress = on_packed };
        PackResult measured, packed;
        Progress progress;
        int r;

        bundle->archive = open_temporary(error);
        if (bundle->archive < 0)
                return bundle->archive;
        r = source_date(&options.mtime, error);
        if (r >= 0)
                r = pack_measure(bundle->folder, &measured, error);
        if (r < 0)
                return r;
        progress_begin(&progress, cli, "pack", measured.unpacked_size);
        options.userdata = &progress;
        r = pack_folder(bundle->folder, bundle->archive, &options, &packed, error);
        progress_clear(&progress);
        if (r == -ENOSPC)
                return error_set_fault(error, r, FAULT_HOST,
                                       "no space left in %s to pack it there; TMPDIR names another folder",
                                       temporary_folder());
        return r < 0 ? r : inspect_packed(bundle, &packed, error);
}

int bundle_seal(Bundle *bundle, const Cli *cli, Error *error) {
        int r = 0;

        if (bundle->archive < 0)
                r = pack(bundle, cli, error);
        if (r >= 0)
                r = artifact_digest_file(bundle->archive, 0, &bundle->digest, error);
        if (r < 0)
                error_prefix(error, "%s", bundle->path);
        return r;
}

int bundle_add_to_release(const Bundle *bundle, Release *release, Error *error) {
        _cleanup_free_ char *platform = strdup(bundle->platform);
        ReleaseArtifact artifact = { .platform = platform,
                                     .size = bundle->digest.size,
                                     .format = bundle->format,
                                     .unpacked_size = bundle->unpacked_size,
                                     .entries = bundle->entries,
                                     .chunk_size = bundle->digest.chunk_size };

        static_assert(sizeof(ReleaseChunk) == DIGEST_SIZE, "chunks are runs of digests");
        if (!platform)
                return error_oom(error);
        hex_encode(bundle->digest.sha256, DIGEST_SIZE, artifact.sha256);
        hex_encode(bundle->tree_sha256, DIGEST_SIZE, artifact.tree_sha256);
        artifact.chunks.items = (ReleaseChunk *) bundle->digest.chunks; /* copied by release_add_artifact() */
        artifact.chunks.n = bundle->digest.chunk_count;
        return release_add_artifact(release, &artifact, error);
}
