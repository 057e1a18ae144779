#include <string.h>

#include "agent/base/file.h"
#include "agent/base/parse.h"
#include "agent/cli/documents.h"
#include "agent/cli/output.h"
#include "agent/cli/progress.h"
#include "agent/cli/shared_options.h"
#include "agent/cli/verify_command.h"
#include "agent/cli/verify_installed.h"
#include "artifacts/fetch.h"
#include "artifacts/layout.h"

typedef struct VerifyValues {
        const char *app;
        const char *version;
        const char *root;
        bool installed;
        DepotValues depot;
} VerifyValues;

/* Files */

#define DESCRIPTION_MAX 512U

/* Parses a verified payload and says what it is. */
typedef int (*Describe)(const uint8_t *payload, size_t size, char ret[static DESCRIPTION_MAX], Error *error);

static int describe_release(const uint8_t *payload, size_t size, char ret[static DESCRIPTION_MAX],
                            Error *error) {
        _cleanup_release_ Release *release = NULL;
        int r;

        r = release_parse(payload, size, &release, error);
        if (r >= 0)
                snprintf(ret, DESCRIPTION_MAX, "release %s %s", release->app, release->version);
        return r;
}

static int describe_target(const uint8_t *payload, size_t size, char ret[static DESCRIPTION_MAX],
                           Error *error) {
        _cleanup_target_ Target *target = NULL;
        int r;

        r = target_parse(payload, size, &target, error);
        if (r >= 0)
                snprintf(ret, DESCRIPTION_MAX, "target of %s in %s, serial %llu, stable %s", target->app,
                         target->group, (unsigned long long) target->serial, target->stable.version);
        return r;
}

static int describe_freshness(const uint8_t *payload, size_t size, char ret[static DESCRIPTION_MAX],
                              Error *error) {
        _cleanup_freshness_ Freshness *freshness = NULL;
        char until[TIME_TEXT_MAX];
        int r;

        r = freshness_parse(payload, size, &freshness, error);
        if (r < 0)
                return r;
        format_time(freshness->expires, until);
        snprintf(ret, DESCRIPTION_MAX, "freshness of %s in %s, serial %llu, until %s", freshness->app,
                 freshness->group, (unsigned long long) freshness->serial, until);
        return 0;
}

static const struct {
        const char *payload_type;
        TrustRole role;
        Describe describe;
} kinds[] = {
        { RELEASE_TYPE, TRUST_ROLE_RELEASE, describe_release },
        { TARGET_TYPE, TRUST_ROLE_TARGET, describe_target },
        { FRESHNESS_TYPE, TRUST_ROLE_FRESHNESS, describe_freshness },
};

/* The next root must be signed by this one; others are judged by their own keys, since nothing else can. */
static int verify_root(const TrustRoot *root, const char *name, const Buffer *file, uint64_t now,
                       char ret[static DESCRIPTION_MAX], Error *error) {
        _cleanup_trust_root_ TrustRoot *given = NULL, *successor = NULL;
        bool is_next;
        int r;

        r = trust_root_load(name, file->data, file->size, &given, error);
        if (r < 0)
                return r;
        is_next = trust_root_version(given) == trust_root_version(root) + 1;
        if (is_next)
                r = trust_root_load_successor(root, name, file->data, file->size, now, &successor, error);
        if (r >= 0)
                snprintf(ret, DESCRIPTION_MAX, "trust root %llu, signed by %s",
                         (unsigned long long) trust_root_version(given),
                         is_next ? "its predecessor" : "its own keys");
        return r;
}

static int verify_document(const TrustRoot *root, const char *name, const Buffer *file, uint64_t now,
                           char ret[static DESCRIPTION_MAX], char sha256[static DIGEST_HEX_SIZE],
                           Error *error) {
        _cleanup_dsse_envelope_ DsseEnvelope *envelope = NULL;
        _cleanup_free_ uint8_t *payload = NULL;
        size_t size;
        int r;

        r = dsse_envelope_parse(name, file->data, file->size, &envelope, error);
        if (r >= 0)
                r = digest_sha256_hex(envelope->payload, envelope->payload_size, sha256);
        if (r < 0)
                return r;
        if (string_equal(envelope->payload_type, TRUST_ROOT_TYPE))
                return verify_root(root, name, file, now, ret, error);
        for (size_t i = 0; i < ELEMENTSOF(kinds); i++) {
                if (!string_equal(envelope->payload_type, kinds[i].payload_type))
                        continue;
                r = trust_root_verify_document(root, kinds[i].role, name, kinds[i].payload_type, file->data,
                                               file->size, now, &payload, &size, error);
                return r < 0 ? r : kinds[i].describe(payload, size, ret, error);
        }
        return error_set_fault(error, -EBADMSG, FAULT_INPUT,
                               "%s: payloadType: expected a document of muster, not \"%.64s\"", name,
                               envelope->payload_type);
}

static int verify_file(const Cli *cli, const VerifyValues *values, const char *path, Error *error) {
        _cleanup_trust_root_ TrustRoot *root = NULL;
        _cleanup_buffer_ Buffer file = {};
        char what[DESCRIPTION_MAX], sha256[DIGEST_HEX_SIZE];
        int r;

        r = trust_root_read(values->root, &root, error);
        if (r < 0)
                return r;
        r = file_read_at(AT_FDCWD, path, DSSE_ENVELOPE_SIZE_MAX, &file);
        if (r < 0)
                return error_set_errno(error, r, "cannot read %s", path);
        r = verify_document(root, path, &file, clock_realtime(cli->clock), what, sha256, error);
        if (r < 0)
                return r;
        if (cli->json)
                return output_json(
                        cli, json_pack("{s:s, s:s, s:s}", "file", path, "document", what, "sha256", sha256),
                        error);
        cli_say(cli, "%s: good: %s", path, what);
        cli_say(cli, "sha256 %s", sha256);
        return 0;
}

/* Versions in the depot */

typedef struct Check {
        Progress progress;
        bool done;
        int result;
        Error *error;
} Check;

static void on_checked(_unused_ Fetch *fetch, uint64_t written, _unused_ uint64_t total, void *userdata) {
        Check *check = userdata;

        progress_update(&check->progress, written);
}

static void on_done(_unused_ Fetch *fetch, int result, const Error *error, void *userdata) {
        Check *check = userdata;

        check->done = true;
        check->result = result;
        if (result < 0 && check->error)
                *check->error = *error;
}

/* Fetches the artifact to nowhere: the fetch checks every chunk and the whole. */
static int check_artifact(const Cli *cli, const DepotAccess *access, const char *app,
                          const ReleaseArtifact *artifact, Error *error) {
        const FetchArtifact expected = { .size = artifact->size,
                                         .chunk_size = artifact->chunk_size,
                                         .chunks = (const uint8_t(*)[DIGEST_SIZE]) artifact->chunks.items,
                                         .n_chunks = artifact->chunks.n,
                                         .sha256 = artifact->sha256 };
        _cleanup_(fetch_freep) Fetch *fetch = NULL;
        Check check = { .error = error };
        _cleanup_close_ int null = -1;
        char key[LAYOUT_KEY_MAX];
        int r;

        null = file_open_at(AT_FDCWD, "/dev/null", O_WRONLY, 0);
        if (null < 0)
                return error_set_errno(error, null, "/dev/null");
        progress_begin(&check.progress, cli, artifact->platform, artifact->size);
        r = layout_artifact(app, artifact->sha256, artifact->format, key, error);
        if (r >= 0)
                r = fetch_start(access->depot, key, &expected, null, on_checked, on_done, &check, &fetch,
                                error);
        while (r >= 0 && !check.done)
                r = sd_event_run(access->event, UINT64_MAX);
        progress_clear(&check.progress);
        return r < 0 ? r : check.result;
}

static int check_artifacts(const Cli *cli, const DepotAccess *access, const Release *release, Error *error) {
        int r = 0;

        for (size_t i = 0; i < release->artifacts.n && r >= 0; i++) {
                const ReleaseArtifact *artifact = &release->artifacts.items[i];
                char size[SIZE_TEXT_MAX];

                r = check_artifact(cli, access, release->app, artifact, error);
                format_size(artifact->size, size);
                if (r >= 0)
                        cli_say(cli, "%s: good: %s in %zu chunk%s", artifact->platform, size,
                                artifact->chunks.n, artifact->chunks.n == 1 ? "" : "s");
        }
        return r;
}

static int verify_version(const Cli *cli, const VerifyValues *values, Error *error) {
        _cleanup_depot_access_ DepotAccess access = {};
        _cleanup_trust_root_ TrustRoot *root = NULL;
        _cleanup_release_ Release *release = NULL;
        int r;

        r = trust_root_read(values->root, &root, error);
        if (r >= 0)
                r = depot_access_open(&values->depot, &access, error);
        if (r >= 0)
                r = documents_get_release(&access, root, clock_realtime(cli->clock), values->app,
                                          values->version, NULL, &release, error);
        if (r >= 0)
                r = check_artifacts(cli, &access, release, error);
        if (r < 0)
                return r;
        if (cli->json)
                return output_json(cli,
                                   json_pack("{s:s, s:s, s:s, s:I}", "app", release->app, "version",
                                             release->version, "sha256", release->sha256, "artifacts",
                                             (json_int_t) release->artifacts.n),
                                   error);
        cli_say(cli, "%s %s: good", release->app, release->version);
        cli_say(cli, "sha256 %s", release->sha256);
        return 0;
}

/* The command */

static const Option options[] = {
        { .name = "app",
          .letter = 'a',
          .type = OPTION_NAME,
          OPTION_INTO(VerifyValues, app),
          .value = "NAME",
          .help = "the app" },
        VERSION_OPTION(VerifyValues, version, false),
        { .name = "installed",
          .type = OPTION_FLAG,
          OPTION_INTO(VerifyValues, installed),
          .help = "compare what is installed on this instance, of APP or of all, with what was signed" },
        ROOT_OPTION(VerifyValues, root),
        DEPOT_OPTIONS(VerifyValues, depot),
        OPTION_END,
};

static int run_installed(const Cli *cli, const VerifyValues *given, const char *app, Error *error) {
        if (given->version || (given->app && app))
                return error_set_fault(error, -EDESTADDRREQ, FAULT_INPUT,
                                       "--installed takes the name of an app, or nothing");
        return verify_installed(cli, given->depot.config, app ? app : given->app, error);
}

static int run_verify(Cli *cli, void *values, char **arguments, Error *error) {
        const VerifyValues *given = values;

        if (given->installed)
                return run_installed(cli, given, arguments ? arguments[0] : NULL, error);
        if (arguments && !given->app && !given->version)
                return verify_file(cli, given, arguments[0], error);
        if (!arguments && given->app && given->version)
                return verify_version(cli, given, error);
        return error_set_fault(error, -EDESTADDRREQ, FAULT_INPUT,
                               "what is to be verified? Give a FILE, --app NAME and --version VERSION, or "
                               "--installed");
}

const Command command_verify = {
        .name = "verify",
        .summary = "check a document, a version, or what is installed",
        .arguments = "[FILE|APP]",
        .arguments_max = 1,
        .argument_kind = ARGUMENT_FILE,
        .options = options,
        .values_size = sizeof(VerifyValues),
        .examples =
                (const Example[]){
                        { "Will instances believe this file? No network needed.",
                          "muster verify target.json --root root.json" },
                        { "Is all of 1.4.2 in the depot, and as it was signed?",
                          "muster verify --app api --version 1.4.2 --depot s3://deploys/prod" },
                        { "Has anybody changed what runs on this instance?",
                          "sudo muster verify --installed" },
                        {},
                },
        .run = run_verify,
};
