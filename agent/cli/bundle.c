#include <assert.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/base/file.h"
#include "agent/base/hex.h"
#include "agent/base/parse.h"
#include "agent/base/strv.h"
#include "agent/cli/bundle.h"
#include "agent/cli/progress.h"
#include "agent/cli/temporary.h"
#include "artifacts/appspec.h"
#include "artifacts/pack.h"

void bundle_deinit(Bundle *bundle) {
        bundle->folder = close_fd(bundle->folder);
        bundle->archive = close_fd(bundle->archive);
        buffer_deinit(&bundle->appspec);
        free(bundle->appspec_elsewhere);
        artifact_digest_deinit(&bundle->digest);
        release_origin_deinit(&bundle->origin);
}

/* Opening */

static int open_folder(Bundle *bundle, const char *const *names, Error *error) {
        for (; *names && !bundle->appspec_name; names++) {
                int r = file_read_at(bundle->folder, *names, APPSPEC_SIZE_MAX, &bundle->appspec);

                if (r == -ELOOP)
                        return error_set_fault(error, r, FAULT_INPUT,
                                               "%s/%s is a symbolic link; expected a file", bundle->path,
                                               *names);
                if (r < 0 && r != -ENOENT && r != -ENOTDIR)
                        return error_set_errno(error, r, "%s/%s", bundle->path, *names);
                if (r >= 0)
                        bundle->appspec_name = *names;
        }
        return 0;
}

static int open_archive(Bundle *bundle, const char *const *names, Error *error) {
        _cleanup_archive_member_ ArchiveMember member = { .names = names, .limit = APPSPEC_SIZE_MAX };
        int r;

        r = archive_inspect(bundle->archive, &member, &bundle->facts, error);
        if (r < 0) {
                error_prefix(error, "%s", bundle->path);
                return r;
        }
        bundle->appspec_name = member.found;
        bundle->appspec_elsewhere = TAKE_PTR(member.elsewhere);
        bundle->appspec = member.content;
        member.content = (Buffer){};
        return 0;
}

static int open_path(Bundle *bundle, const char *const *names, Error *error) {
        _cleanup_close_ int fd = -1;
        struct stat st;

        fd = file_open_at(AT_FDCWD, bundle->path, O_RDONLY | O_NONBLOCK, 0);
        if (fd < 0)
                return error_set_errno(error, fd, "%s", bundle->path);
        if (fstat(fd, &st) < 0)
                return error_set_errno(error, -errno, "%s", bundle->path);
        if (S_ISDIR(st.st_mode)) {
                bundle->folder = TAKE_FD(fd);
                return open_folder(bundle, names, error);
        }
        if (!S_ISREG(st.st_mode)) /* an archive is read more than once */
                return error_set_fault(error, -EINVAL, FAULT_INPUT,
                                       "%s: expected a folder, or a file that is an archive", bundle->path);
        bundle->archive = TAKE_FD(fd);
        return open_archive(bundle, names, error);
}

static int open_s3(Bundle *bundle, const BundleContext *context, Error *error) {
        int r;

        if (!context->aws)
                return error_set_fault(error, -EINVAL, FAULT_INPUT,
                                       "%s: expected a folder or an archive on this machine", bundle->path);
        r = s3_archive_get(bundle->path, context->aws, context->cli, &bundle->archive, &bundle->origin,
                           error);
        return r < 0 ? r : open_archive(bundle, context->appspec_names, error);
}

int bundle_open(const char *platform, const char *path, const BundleContext *context, Bundle *ret,
                Error *error) {
        Bundle bundle = {
                .path = path, .platform = platform, .folder = -1, .archive = -1, .in_use = context->in_use
        };
        int r;

        r = s3_archive_is_meant(path) ? open_s3(&bundle, context, error)
                                      : open_path(&bundle, context->appspec_names, error);
        if (r < 0) {
                bundle_deinit(&bundle);
                return r;
        }
        *ret = bundle;
        return 0;
}

/* Packing */

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

        r = archive_inspect(bundle->archive, NULL, &facts, error);
        if (r < 0)
                return r;
        if (facts.wrapped || facts.entries != packed->entries || facts.unpacked_size != packed->unpacked_size)
                return error_set_fault(error, -EIO, FAULT_HOST, "the archive does not hold what was packed");
        bundle->facts = facts;
        return 0;
}

int bundle_check(const Bundle *bundle, Error *error) {
        const PackOptions options = { .in_use = bundle->in_use };
        PackResult measured;
        int r;

        if (bundle->archive >= 0)
                return 0;
        r = pack_measure(bundle->folder, &options, &measured, error);
        if (r < 0)
                error_prefix(error, "%s", bundle->path);
        return r;
}

static int pack(Bundle *bundle, const Cli *cli, Error *error) {
        PackOptions options = { .progress = on_packed, .in_use = bundle->in_use };
        PackResult measured, packed;
        Progress progress;
        int r;

        bundle->archive = temporary_open(error);
        if (bundle->archive < 0)
                return bundle->archive;
        r = source_date(&options.mtime, error);
        if (r >= 0)
                r = pack_measure(bundle->folder, &options, &measured, error);
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
                                     .format = bundle->facts.format,
                                     .unpacked_size = bundle->facts.unpacked_size,
                                     .entries = bundle->facts.entries,
                                     .wrapping_folder = bundle->facts.wrapped,
                                     .origin = bundle->origin, /* copied, as the chunks are */
                                     .chunk_size = bundle->digest.chunk_size };

        static_assert(sizeof(ReleaseChunk) == DIGEST_SIZE, "chunks are runs of digests");
        if (!platform)
                return error_oom(error);
        hex_encode(bundle->digest.sha256, DIGEST_SIZE, artifact.sha256);
        hex_encode(bundle->facts.tree_sha256, DIGEST_SIZE, artifact.tree_sha256);
        artifact.chunks.items = (ReleaseChunk *) bundle->digest.chunks; /* copied by release_add_artifact() */
        artifact.chunks.n = bundle->digest.chunk_count;
        return release_add_artifact(release, &artifact, error);
}
