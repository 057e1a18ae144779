#include <string.h>

#include "agent/base/hex.h"
#include "agent/base/parse.h"
#include "agent/cli/documents.h"
#include "agent/cli/gc_plan.h"
#include "agent/cli/key_source.h"
#include "agent/cli/output.h"
#include "agent/cli/progress.h"
#include "agent/cli/publish_command.h"
#include "agent/cli/release_source.h"
#include "agent/cli/shared_options.h"
#include "artifacts/layout.h"

#define RELEASE_KEY_VARIABLE "MUSTER_RELEASE_KEY"

typedef struct PublishValues {
        const char *app;
        const char *version;
        char **platforms;
        const char *appspec;
        const char *commit;
        const char *key;
        const char *root;
        bool dry_run;
        DepotValues depot;
} PublishValues;

typedef struct Publication {
        Cli *cli;
        const PublishValues *values;
        Key *key; /* NULL in a dry run */
        ReleaseSource source;
        bool uploaded[RELEASE_PLATFORMS_MAX]; /* by this run */
        DepotAccess access;
        char sha256[DIGEST_HEX_SIZE]; /* of what is published in the end */
        bool was_there;
} Publication;

static void publication_deinit(Publication *publication) {
        key_free(publication->key);
        release_source_deinit(&publication->source);
        depot_access_deinit(&publication->access);
}
#define _cleanup_publication_ _cleanup_(publication_deinit)

/* Uploading artifacts */

static void on_sent(_unused_ DepotOp *op, uint64_t sent, _unused_ uint64_t total, void *userdata) {
        progress_update(userdata, sent);
}

/* How an artifact is to be written, if at all. */
typedef enum Presence {
        PRESENCE_NONE,
        PRESENCE_WHOLE,
        PRESENCE_OTHER_SIZE, /* no upload of ours leaves that behind: it is replaced */
} Presence;

static int find_artifact(const DepotAccess *access, const char *key, uint64_t size, Presence *ret,
                         Error *error) {
        _cleanup_depot_reply_ DepotReply reply = {};
        DepotOp *op;
        int r;

        r = depot_get_range_start(access->depot, key, 0, 1, NULL, NULL, NULL, NULL, &op, error);
        if (r >= 0)
                r = depot_wait(op, &reply, error);
        if (r < 0)
                return r;
        if (reply.outcome == DEPOT_NOT_FOUND)
                *ret = PRESENCE_NONE;
        else
                *ret = reply.size == size ? PRESENCE_WHOLE : PRESENCE_OTHER_SIZE;
        return 0;
}

/* Whether it has lain there for so long that `muster gc`, which does not know yet that it is needed again, may remove it: it is
 * then uploaded anew, over itself. */
static int is_aged(const DepotAccess *access, const char *app, const char *key, bool *ret, Error *error) {
        _cleanup_depot_reply_ DepotReply list = {};
        char prefix[LAYOUT_KEY_MAX];
        DepotOp *op;
        int r;

        r = layout_artifacts(app, prefix, error);
        if (r >= 0)
                r = depot_list_start(access->depot, prefix, NULL, NULL, &op, error);
        if (r >= 0)
                r = depot_wait(op, &list, error);
        if (r < 0)
                return r;
        *ret = false;
        for (size_t i = 0; i < list.n_entries; i++)
                if (strcmp(list.entries[i].key, key) == 0)
                        *ret = list.server_time > list.entries[i].modified &&
                               list.server_time - list.entries[i].modified > GC_AGE_MIN / 2;
        return 0;
}

/* That another publisher was faster is as good: what lies under this key is named after its digest. */
static int upload(const Publication *publication, const Bundle *bundle, const char *key, Presence presence,
                  Error *error) {
        _cleanup_depot_reply_ DepotReply reply = {};
        Progress progress;
        DepotOp *op;
        int r;

        progress_begin(&progress, publication->cli, "upload", bundle->digest.size);
        r = depot_put_file_start(publication->access.depot, key, bundle->archive,
                                 presence == PRESENCE_NONE ? DEPOT_CREATE : DEPOT_ALWAYS, NULL, on_sent, NULL,
                                 &progress, &op, error);
        if (r >= 0)
                r = depot_wait(op, &reply, error);
        progress_clear(&progress);
        return r;
}

/* AGED: one that has been there for long is uploaded as well. */
static int upload_bundle(Publication *publication, size_t i, bool aged, Error *error) {
        const Bundle *bundle = &publication->source.bundles[i];
        const char *app = publication->values->app;
        char key[LAYOUT_KEY_MAX], sha256[DIGEST_HEX_SIZE];
        Presence presence;
        int r;

        hex_encode(bundle->digest.sha256, DIGEST_SIZE, sha256);
        r = layout_artifact(app, sha256, bundle->facts.format, key, error);
        if (r >= 0)
                r = find_artifact(&publication->access, key, bundle->digest.size, &presence, error);
        if (r >= 0 && presence == PRESENCE_WHOLE && aged)
                r = is_aged(&publication->access, app, key, &aged, error);
        if (r < 0 || (presence == PRESENCE_WHOLE && !aged))
                return r;
        publication->uploaded[i] = true;
        return upload(publication, bundle, key, presence, error);
}

static int upload_bundles(Publication *publication, bool aged, Error *error) {
        int r = 0;

        for (size_t i = 0; i < publication->source.n && r >= 0; i++)
                r = upload_bundle(publication, i, aged, error);
        return r;
}

/* The release itself */

/* The version exists. That is well if it says what this one says, but for the time. */
static int compare_with_existing(Publication *publication, const StoredDocument *existing, Error *error) {
        Release *mine = publication->source.release;
        _cleanup_free_ uint8_t *payload = NULL;
        _cleanup_release_ Release *theirs = NULL;
        _cleanup_free_ char *text = NULL;
        size_t payload_size, size;
        int r;

        r = documents_payload("the published release", existing, &payload, &payload_size, error);
        if (r >= 0)
                r = release_parse(payload, payload_size, &theirs, error);
        if (r < 0)
                return r;
        mine->created = theirs->created;
        r = release_to_json(mine, &text, &size, error);
        if (r < 0)
                return r;
        if (size != payload_size || memcmp(text, payload, size) != 0)
                return error_set_fault(
                        error, -EEXIST, FAULT_INPUT,
                        "%s %s is published already, with another content; a version is never overwritten, publish it under a new one",
                        mine->app, mine->version);
        memcpy(publication->sha256, theirs->sha256, sizeof(publication->sha256));
        publication->was_there = true;
        return 0;
}

/* Whether instances with this trust root will believe it: only where the publisher has the root at hand. */
static int check_with_root(const Publication *publication, const char *envelope, size_t size, Error *error) {
        const PublishValues *values = publication->values;
        _cleanup_trust_root_ TrustRoot *root = NULL;
        _cleanup_release_ Release *check = NULL;
        int r;

        if (!values->root)
                return 0;
        r = trust_root_read(values->root, &root, error);
        if (r < 0)
                return r;
        r = release_open(root, envelope, size, clock_realtime(publication->cli->clock), values->app,
                         values->version, NULL, &check, error);
        if (r < 0)
                error_prefix(error, "signed with key %.12s", key_id(publication->key));
        return r;
}

static int sign_release(Publication *publication, char **ret, size_t *ret_size, Error *error) {
        _cleanup_free_ char *payload = NULL, *envelope = NULL;
        size_t payload_size, size;
        int r;

        r = release_to_json(publication->source.release, &payload, &payload_size, error);
        if (r >= 0)
                r = digest_sha256_hex(payload, payload_size, publication->sha256);
        if (r >= 0 && publication->key)
                r = dsse_sign(RELEASE_TYPE, payload, payload_size, &publication->key, 1, &envelope, &size,
                              error);
        if (r >= 0 && publication->key)
                r = check_with_root(publication, envelope, size, error);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(envelope);
        *ret_size = publication->key ? size : 0;
        return 0;
}

/* Who comes second with the same content has published it too. */
static int put_release(Publication *publication, const char *envelope, size_t size, Error *error) {
        const PublishValues *values = publication->values;
        _cleanup_stored_document_ StoredDocument faster = {};
        char key[LAYOUT_KEY_MAX];
        int r;

        r = layout_release(values->app, values->version, key, error);
        if (r >= 0)
                r = depot_access_put(&publication->access, key, envelope, size, DEPOT_CREATE, NULL, error);
        if (r <= 0)
                return r;
        r = documents_read_release(&publication->access, values->app, values->version, &faster, error);
        if (r >= 0 && !faster.envelope)
                r = documents_no_release(&publication->access, values->app, values->version, error);
        return r < 0 ? r : compare_with_existing(publication, &faster, error);
}

/* Signs before it uploads: a key that is not accepted is told at once. */
static int send_release(Publication *publication, const StoredDocument *existing, Error *error) {
        _cleanup_free_ char *envelope = NULL;
        size_t size;
        int r;

        r = existing->envelope ? compare_with_existing(publication, existing, error)
                               : sign_release(publication, &envelope, &size, error);
        if (r >= 0)
                r = upload_bundles(publication, !existing->envelope, error);
        if (r < 0 || !envelope)
                return r;
        r = put_release(publication, envelope, size, error);
        return r < 0 ? r : upload_bundles(publication, false, error); /* what was removed in between */
}

/* Asks the depot before it packs: a depot that cannot be reached is told at once too. */
static int publish(Publication *publication, Error *error) {
        const PublishValues *values = publication->values;
        _cleanup_stored_document_ StoredDocument existing = {};
        int r;

        r = depot_access_open(&values->depot, &publication->access, error);
        if (r >= 0)
                r = documents_read_release(&publication->access, values->app, values->version, &existing,
                                           error);
        if (r >= 0)
                r = release_source_seal(&publication->source, publication->cli, error);
        return r < 0 ? r : send_release(publication, &existing, error);
}

/* Telling */

static int tell_json(const Publication *publication, Error *error) {
        json_auto_t *artifacts = json_array();
        char created[TIME_TEXT_MAX];

        for (size_t i = 0; i < publication->source.n; i++) {
                const Bundle *bundle = &publication->source.bundles[i];
                char sha256[DIGEST_HEX_SIZE];

                hex_encode(bundle->digest.sha256, DIGEST_SIZE, sha256);
                if (json_array_append_new(artifacts, json_pack("{s:s, s:s, s:s, s:I, s:b}", "platform",
                                                               bundle->platform, "sha256", sha256, "format",
                                                               archive_format_to_string(bundle->facts.format),
                                                               "size", (json_int_t) bundle->digest.size,
                                                               "uploaded", publication->uploaded[i])) < 0)
                        return error_oom(error);
        }
        format_time(publication->source.release->created, created);
        return output_json(publication->cli,
                           json_pack("{s:s, s:s, s:s, s:s, s:b, s:O}", "app", publication->values->app,
                                     "version", publication->values->version, "created", created, "sha256",
                                     publication->sha256, "published",
                                     !publication->was_there && !publication->values->dry_run, "artifacts",
                                     artifacts),
                           error);
}

static void tell_bundle(const Publication *publication, size_t i) {
        const Bundle *bundle = &publication->source.bundles[i];
        char size[SIZE_TEXT_MAX], unpacked[SIZE_TEXT_MAX];
        const char *what = publication->uploaded[i] ? ", uploaded" : ", is in the depot already";

        format_size(bundle->digest.size, size);
        format_size(bundle->facts.unpacked_size, unpacked);
        cli_say(publication->cli, "%s: %llu %s, %s in %s of %s%s", bundle->platform,
                (unsigned long long) bundle->facts.entries, bundle->facts.entries == 1 ? "entry" : "entries",
                unpacked, size, archive_format_to_string(bundle->facts.format),
                publication->values->dry_run ? "" : what);
}

static int tell(const Publication *publication, Error *error) {
        const PublishValues *values = publication->values;
        const char *how = publication->was_there ? "is published already, the same" : "published";

        if (publication->cli->json)
                return tell_json(publication, error);
        for (size_t i = 0; i < publication->source.n; i++)
                tell_bundle(publication, i);
        cli_say(publication->cli, "%s %s: %s", values->app, values->version,
                values->dry_run ? "good to be published; nothing was sent" : how);
        if (!values->dry_run)
                cli_say(publication->cli, "sha256 %s", publication->sha256);
        return 0;
}

/* The command */

static const Option options[] = {
        APP_OPTION(PublishValues, app),
        VERSION_OPTION(PublishValues, version, true),
        { .name = "platform",
          .letter = 'p',
          .type = OPTION_LIST,
          OPTION_INTO(PublishValues, platforms),
          .value = "PLATFORM[=PATH]",
          .help = "what PATH (or DIR|ARCHIVE) runs on, such as linux/amd64; may be repeated (otherwise any)" },
        { .name = "appspec",
          .type = OPTION_PATH,
          OPTION_INTO(PublishValues, appspec),
          .value = "FILE",
          .help = "the app's description, in place of appspec.yml: a file of the bundle, or else one here" },
        { .name = "commit",
          .type = OPTION_VERSION,
          OPTION_INTO(PublishValues, commit),
          .value = "ID",
          .help = "the commit that it was built from: BUNDLE_COMMIT for its hooks" },
        { .name = "dry-run",
          .letter = 'n',
          .type = OPTION_FLAG,
          OPTION_INTO(PublishValues, dry_run),
          .help = "check and pack all the same, but contact no depot and need no key" },
        { .name = "key",
          .letter = 'k',
          .type = OPTION_PATH,
          OPTION_INTO(PublishValues, key),
          .value = "FILE",
          .help = "private key of the role release (or the PEM text in MUSTER_RELEASE_KEY)",
          .environment = "MUSTER_RELEASE_KEY_FILE" },
        { .name = "root",
          .letter = 'r',
          .type = OPTION_PATH,
          OPTION_INTO(PublishValues, root),
          .value = "FILE",
          .help = "a trust root that must accept the signature, if there is one at hand",
          .environment = "MUSTER_ROOT" },
        DEPOT_OPTIONS(PublishValues, depot),
        OPTION_END,
};

static int prepare(Publication *publication, const char *path, Error *error) {
        const PublishValues *values = publication->values;
        const ReleaseRequest request = { .app = values->app,
                                         .version = values->version,
                                         .path = path,
                                         .aws = &values->depot,
                                         .commit = values->commit,
                                         .platforms = values->platforms,
                                         .appspec = values->appspec };
        int r = 0;

        if (!values->dry_run)
                r = key_source_private(values->key, RELEASE_KEY_VARIABLE, "key", &publication->key, error);
        return r < 0 ? r : release_source_open(&request, publication->cli, &publication->source, error);
}

/* All that can go wrong before anything is sent. */
static int rehearse(Publication *publication, Error *error) {
        _cleanup_free_ char *none = NULL;
        size_t size;
        int r;

        r = release_source_seal(&publication->source, publication->cli, error);
        return r < 0 ? r : sign_release(publication, &none, &size, error);
}

static int run_publish(Cli *cli, void *values, char **arguments, Error *error) {
        const PublishValues *given = values;
        _cleanup_publication_ Publication publication = { .cli = cli, .values = given };
        int r;

        r = prepare(&publication, arguments ? arguments[0] : NULL, error);
        if (r >= 0)
                r = given->dry_run ? rehearse(&publication, error) : publish(&publication, error);
        return r < 0 ? r : tell(&publication, error);
}

const Command command_publish = {
        .name = "publish",
        .heading = "Releases and targets",
        .summary = "pack, sign and upload one version of an app",
        .description =
                "Reads appspec.yml at the root of the folder or archive, checks it and the files it names, packs a "
                "folder reproducibly (an archive is taken byte for byte: tar, tar.gz, tar.xz, tar.zst or zip, with or "
                "without one folder around everything), uploads it and publishes the signed release. A version is never overwritten; publishing the same again is no "
                "error. What was broken off is finished by running it again.",
        .arguments = "[DIR|ARCHIVE|S3-URI]",
        .arguments_max = 1,
        .argument_kind = ARGUMENT_FILE,
        .options = options,
        .values_size = sizeof(PublishValues),
        .examples =
                (const Example[]){
                        { "Publish a folder.",
                          "muster publish ./api --app api --version 1.4.2 --key release.key --depot s3://deploys/prod" },
                        { "From a build server, the key in the environment; a CodeDeploy bundle as it is.",
                          "MUSTER_RELEASE_KEY=\"$SECRET\" MUSTER_DEPOT=s3://deploys/prod \\\n"
                          "muster publish bundle.zip --app api --version 1.4.2" },
                        { "What the build has put into S3 for CodeDeploy.",
                          "muster publish s3://builds/api/42.zip --app api --version 1.4.2 --key release.key" },
                        { "One folder for each platform.",
                          "muster publish --platform linux/amd64=out/amd64 --platform linux/arm64=out/arm64 \\\n"
                          "--app api --version 1.4.2 --key release.key" },
                        { "Is it good?", "muster publish ./api --app api --version 1.4.2 --dry-run" },
                        {},
                },
        .run = run_publish,
};
