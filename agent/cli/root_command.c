#include <string.h>

#include "agent/base/file.h"
#include "agent/base/parse.h"
#include "agent/cli/depot_access.h"
#include "agent/cli/key_source.h"
#include "agent/cli/new_file.h"
#include "agent/cli/output.h"
#include "agent/cli/root_command.h"
#include "agent/cli/shared_options.h"
#include "artifacts/layout.h"

#define ROOT_KEY_VARIABLE "MUSTER_ROOT_KEY"
#define ROOT_KEY_FILE_VARIABLE "MUSTER_ROOT_KEY_FILE"
#define ROOT_EXPIRES_DEFAULT "365d"

/* A signed root as a file. */
typedef struct RootFile {
        char *envelope;
        size_t size;
} RootFile;

static void root_file_deinit(RootFile *file) {
        free(file->envelope);
}
#define _cleanup_root_file_ _cleanup_(root_file_deinit)

static int root_file_read(const char *path, RootFile *ret, Error *error) {
        _cleanup_buffer_ Buffer content = {};
        int r;

        r = file_read_at(AT_FDCWD, path, TRUST_ROOT_SIZE_MAX, &content);
        if (r < 0)
                return error_set_errno(error, r, "cannot read %s", path);
        return buffer_steal(&content, &ret->envelope, &ret->size) < 0 ? error_oom(error) : 0;
}

/* Whether all who must have signed have; -EKEYREJECTED if not. OLD may be NULL. */
static int root_file_check(const RootFile *file, const char *name, const TrustRoot *old, uint64_t now,
                           TrustRoot **ret, Error *error) {
        return old ? trust_root_load_successor(old, name, file->envelope, file->size, now, ret, error)
                   : trust_root_load(name, file->envelope, file->size, ret, error);
}

static void say_incomplete(const Cli *cli, const char *path, const Error *missing) {
        cli_say(cli, "not valid yet: %s", missing->message);
        cli_say(cli, "have it signed with: muster root sign %s --root-key FILE", path);
}

/* Publishing. */

static int load_predecessor(const DepotAccess *access, uint64_t version, TrustRoot **ret, Error *error) {
        _cleanup_depot_reply_ DepotReply reply = {};
        char key[LAYOUT_KEY_MAX];
        int r;

        r = layout_root(version, key, error);
        if (r >= 0)
                r = depot_access_get(access, key, TRUST_ROOT_SIZE_MAX, &reply, error);
        if (r < 0)
                return r;
        if (reply.outcome == DEPOT_NOT_FOUND)
                return error_set_fault(error, -ENOENT, FAULT_INPUT,
                                       "publish its predecessor first: there is no %s/%s",
                                       depot_uri(access->depot), key);
        return trust_root_load(key, reply.body, reply.body_size, ret, error);
}

/* 1 if it was there already. */
static int put_root(const DepotAccess *access, const RootFile *file, uint64_t version, Error *error) {
        _cleanup_depot_reply_ DepotReply there = {};
        char key[LAYOUT_KEY_MAX];
        int r;

        r = layout_root(version, key, error);
        if (r >= 0)
                r = depot_access_put(access, key, file->envelope, file->size, DEPOT_CREATE, NULL, error);
        if (r <= 0)
                return r;
        r = depot_access_get(access, key, TRUST_ROOT_SIZE_MAX, &there, error);
        if (r < 0)
                return r;
        if (there.body_size == file->size && memcmp(there.body, file->envelope, file->size) == 0)
                return 1;
        return error_set_fault(error, -EEXIST, FAULT_INPUT, "%s/%s exists already, with another content",
                               depot_uri(access->depot), key);
}

static int publish(const Cli *cli, const char *path, const RootFile *file, const DepotValues *values,
                   Error *error) {
        _cleanup_depot_access_ DepotAccess access = {};
        _cleanup_trust_root_ TrustRoot *root = NULL, *old = NULL, *successor = NULL;
        uint64_t version;
        int r;

        r = trust_root_load(path, file->envelope, file->size, &root, error);
        if (r >= 0)
                r = depot_access_open(values, &access, error);
        if (r < 0)
                return r;
        version = trust_root_version(root);
        if (version > 1) {
                r = load_predecessor(&access, version - 1, &old, error);
                if (r >= 0)
                        r = root_file_check(file, path, old, clock_realtime(cli->clock), &successor, error);
                if (r < 0)
                        return r;
        }
        r = put_root(&access, file, version, error);
        if (r >= 0)
                cli_say(cli, "%s %s/root/%llu.json", r > 0 ? "already in the depot:" : "published as",
                        depot_uri(access.depot), (unsigned long long) version);
        return MIN(r, 0);
}

/* Making one. */

typedef struct MakeValues {
        char **signers;
        char **keys[TRUST_ROLE_MAX];
        char **thresholds;
        OptionNumber expires;
        const char *old;
        const char *out;
        DepotValues depot;
} MakeValues;

static int add_keys(TrustRoot *root, TrustRole role, Key *const *keys, size_t n, Error *error) {
        int r = 0;

        for (size_t i = 0; i < n && r >= 0; i++)
                r = trust_root_add_key(root, role, keys[i], error);
        return r;
}

/* "release=2" */
static int set_threshold(TrustRoot *root, const char *text, Error *error) {
        const char *equals = strchr(text, '=');
        uint64_t threshold;

        for (TrustRole role = 0; equals && role < TRUST_ROLE_MAX; role++) {
                const char *name = trust_role_to_string(role);

                if (strlen(name) == (size_t) (equals - text) && string_starts_with(text, name) &&
                    parse_u64(equals + 1, &threshold) >= 0)
                        return trust_root_set_threshold(root, role, threshold, error);
        }
        return error_set_fault(error, -EINVAL, FAULT_INPUT,
                               "--threshold is \"%.64s\", expected a role and a number such as release=2",
                               text);
}

/* The keys of ROLE: those that were given, else OLD's with their threshold, else none. */
static int fill_role(TrustRoot *root, TrustRole role, char *const *paths, const TrustRoot *old,
                     Error *error) {
        _cleanup_key_list_ KeyList list = {};
        Key *const *keys;
        uint64_t threshold;
        size_t n;
        int r;

        if (paths || !old) {
                r = key_list_load(&list, paths, error);
                return r < 0 ? r : add_keys(root, role, list.keys, list.n, error);
        }
        keys = trust_root_keys(old, role, &n, &threshold);
        if (n == 0)
                return 0;
        r = add_keys(root, role, keys, n, error);
        return r < 0 ? r : trust_root_set_threshold(root, role, threshold, error);
}

static int make_root(const MakeValues *values, const KeyList *signers, const TrustRoot *old, uint64_t now,
                     TrustRoot **ret, Error *error) {
        _cleanup_trust_root_ TrustRoot *root = NULL;
        int r;

        r = trust_root_new(old ? trust_root_version(old) + 1 : 1, now, usec_add(now, values->expires.value),
                           &root, error);
        if (r >= 0 && !old)
                r = add_keys(root, TRUST_ROLE_ROOT, signers->keys, signers->n, error);
        for (TrustRole role = old ? 0 : TRUST_ROLE_RELEASE; role < TRUST_ROLE_MAX && r >= 0; role++)
                r = fill_role(root, role, values->keys[role], old, error);
        STRV_FOREACH(threshold, values->thresholds)
                if (r >= 0)
                        r = set_threshold(root, *threshold, error);
        if (r >= 0)
                *ret = TAKE_PTR(root);
        return r;
}

static int sign_root(const TrustRoot *root, const KeyList *signers, RootFile *ret, Error *error) {
        _cleanup_free_ char *payload = NULL;
        Key *private[KEY_LIST_MAX];
        size_t n = 0, size;
        int r;

        for (size_t i = 0; i < signers->n; i++)
                if (key_is_private(signers->keys[i]))
        private[n++] = signers->keys[i];
        if (n == 0)
                return error_set_fault(error, -ENOKEY, FAULT_INPUT,
                                       "no key to sign with: --root-key names no private key");
        r = trust_root_write(root, &payload, &size, error);
        return r < 0 ? r
                     : dsse_sign(TRUST_ROOT_TYPE, payload, size, private, n, &ret->envelope, &ret->size,
                                 error);
}

/* The keys of --root-key, or the one in the environment. */
static int load_signers(KeyList *signers, char *const *paths, Error *error) {
        int r;

        if (paths)
                return key_list_load(signers, paths, error);
        r = key_source_private(NULL, ROOT_KEY_VARIABLE, "root-key", &signers->keys[0], error);
        if (r >= 0)
                signers->n = 1;
        return r;
}

static int print_made(const Cli *cli, const MakeValues *values, const TrustRoot *root, const Error *missing,
                      Error *error) {
        char expires[TIME_TEXT_MAX];

        format_time(trust_root_expires(root), expires);
        if (cli->json)
                return output_json(cli,
                                   json_pack("{s:s, s:I, s:s, s:b}", "file", values->out, "version",
                                             (json_int_t) trust_root_version(root), "expires", expires,
                                             "complete", !missing),
                                   error);
        cli_say(cli, "%s: trust root %llu, good until %s", values->out,
                (unsigned long long) trust_root_version(root), expires);
        if (missing)
                say_incomplete(cli, values->out, missing);
        return 0;
}

static int make(const Cli *cli, const MakeValues *values, const TrustRoot *old, Error *error) {
        uint64_t now = clock_realtime(cli->clock);
        _cleanup_trust_root_ TrustRoot *root = NULL, *checked = NULL;
        _cleanup_key_list_ KeyList signers = {};
        _cleanup_root_file_ RootFile file = {};
        Error missing = {};
        int r, complete;

        r = new_file_check(values->out, error);
        if (r >= 0)
                r = load_signers(&signers, values->signers, error);
        if (r >= 0)
                r = make_root(values, &signers, old, now, &root, error);
        if (r >= 0 && old)
                r = key_list_load(&signers, values->keys[TRUST_ROLE_ROOT], error);
        if (r >= 0)
                r = sign_root(root, &signers, &file, error);
        if (r < 0)
                return r;
        complete = root_file_check(&file, values->out, old, now, &checked, &missing);
        if (complete < 0 && complete != -EKEYREJECTED) {
                *error = missing;
                return complete;
        }
        r = new_file_write(values->out, file.envelope, file.size, 0644, error);
        if (r >= 0)
                r = print_made(cli, values, root, complete < 0 ? &missing : NULL, error);
        if (r >= 0 && complete >= 0 && values->depot.uri)
                r = publish(cli, values->out, &file, &values->depot, error);
        return r;
}

#define ROLE_OPTION(text, role, is_required, what)                                                           \
        {                                                                                                    \
                .name = text, .type = OPTION_PATHS, OPTION_INTO(MakeValues, keys[role]), .value = "FILE",    \
                .help = what, .required = is_required                                                        \
        }

/* Not from the environment: a root is published only on purpose. */
#define PUBLISH_OPTIONS                                                                                      \
        { .name = "depot",                                                                                   \
          .letter = 'd',                                                                                     \
          .type = OPTION_TEXT,                                                                               \
          OPTION_INTO(MakeValues, depot.uri),                                                                \
          .value = "URI",                                                                                    \
          .help = "publish it there as well: s3://bucket/prefix or file:///folder" },                        \
                CONFIG_OPTION(MakeValues, depot)

#define MAKE_OPTIONS                                                                                         \
        { .name = "threshold",                                                                               \
          .type = OPTION_LIST,                                                                               \
          OPTION_INTO(MakeValues, thresholds),                                                               \
          .value = "ROLE=N",                                                                                 \
          .help = "so many keys of the role must sign (1 unless said); may be repeated" },                   \
                { .name = "expires",                                                                         \
                  .type = OPTION_DURATION,                                                                   \
                  OPTION_INTO(MakeValues, expires),                                                          \
                  .value = "TIME",                                                                           \
                  .help = "how long it is good from now on",                                                 \
                  .initial = ROOT_EXPIRES_DEFAULT },                                                         \
                { .name = "out",                                                                             \
                  .letter = 'o',                                                                             \
                  .type = OPTION_PATH,                                                                       \
                  OPTION_INTO(MakeValues, out),                                                              \
                  .value = "FILE",                                                                           \
                  .help = "the new file",                                                                    \
                  .required = true },                                                                        \
                PUBLISH_OPTIONS

static const Option init_options[] = {
        { .name = "root-key",
          .type = OPTION_PATHS,
          OPTION_INTO(MakeValues, signers),
          .value = "FILE",
          .help = "a key of the role root; the private ones sign (or the PEM text in MUSTER_ROOT_KEY)",
          .environment = ROOT_KEY_FILE_VARIABLE },
        ROLE_OPTION("release-key", TRUST_ROLE_RELEASE, true, "a key that may sign releases"),
        ROLE_OPTION("target-key", TRUST_ROLE_TARGET, true, "a key that may say what a group runs"),
        ROLE_OPTION("freshness-key", TRUST_ROLE_FRESHNESS, false,
                    "a key that may say that a target is current"),
        MAKE_OPTIONS,
        OPTION_END,
};

static int run_init(Cli *cli, void *values, _unused_ char **arguments, Error *error) {
        return make(cli, values, NULL, error);
}

static const Command command_root_init = {
        .name = "init",
        .summary = "say whose signatures your instances believe",
        .description =
                "Every key option takes a file with a public or a private key and may be repeated; only public keys "
                "enter the root. Install the file as " TRUST_ROOT_PATH
                " on every instance, best in the image. With "
                "--depot it is published as root/1.json as well.",
        .options = init_options,
        .values_size = sizeof(MakeValues),
        .examples =
                (const Example[]){
                        { "One key for each role, and one that makes roots and stays offline.",
                          "muster root init --root-key root.key --release-key release.pub \\\n"
                          "--target-key target.pub --out root.json" },
                        { "Two of three people must sign a root.",
                          "muster root init --root-key me.key --root-key ann.pub --root-key bob.pub \\\n"
                          "--threshold root=2 --release-key release.pub --target-key target.pub --out root.json" },
                        {},
                },
        .run = run_init,
};

static const Option rotate_options[] = {
        ROOT_OPTION(MakeValues, old),
        { .name = "root-key",
          .type = OPTION_PATHS,
          OPTION_INTO(MakeValues, signers),
          .value = "FILE",
          .help = "a private key of the old root's role root (or the PEM text in MUSTER_ROOT_KEY)",
          .environment = ROOT_KEY_FILE_VARIABLE },
        ROLE_OPTION("new-root-key", TRUST_ROLE_ROOT, false,
                    "a key of the role root from now on; the private ones sign"),
        ROLE_OPTION("release-key", TRUST_ROLE_RELEASE, false, "a key that may sign releases from now on"),
        ROLE_OPTION("target-key", TRUST_ROLE_TARGET, false,
                    "a key that may say what a group runs from now on"),
        ROLE_OPTION("freshness-key", TRUST_ROLE_FRESHNESS, false,
                    "a key that may say that a target is current from now on"),
        MAKE_OPTIONS,
        OPTION_END,
};

static int run_rotate(Cli *cli, void *values, _unused_ char **arguments, Error *error) {
        const MakeValues *options = values;
        _cleanup_trust_root_ TrustRoot *old = NULL;
        int r;

        r = trust_root_read(options->old, &old, error);
        return r < 0 ? r : make(cli, options, old, error);
}

static const Command command_root_rotate = {
        .name = "rotate",
        .summary = "make the next trust root, with other keys or a later expiry",
        .description =
                "A role for which a key is given gets those keys instead of the old ones; the other roles stay as "
                "they are. Instances accept the new root because enough keys of the old one have signed it.",
        .options = rotate_options,
        .values_size = sizeof(MakeValues),
        .examples =
                (const Example[]){
                        { "Another year.",
                          "muster root rotate --root root.json --root-key root.key --out root-2.json" },
                        { "The release key was lost.",
                          "muster root rotate --root root.json --root-key root.key \\\n"
                          "--release-key new.pub --out root-2.json --depot s3://deploys/prod" },
                        {},
                },
        .run = run_rotate,
};

/* Signing what somebody else made. */

typedef struct SignValues {
        char **signers;
} SignValues;

static const Option sign_options[] = {
        { .name = "root-key",
          .type = OPTION_PATHS,
          OPTION_INTO(SignValues, signers),
          .value = "FILE",
          .help = "a private key to sign with (or the PEM text in MUSTER_ROOT_KEY)",
          .environment = ROOT_KEY_FILE_VARIABLE },
        OPTION_END,
};

static int add_signatures(RootFile *file, const char *name, const KeyList *signers, Error *error) {
        _cleanup_dsse_envelope_ DsseEnvelope *envelope = NULL;
        char *written;
        size_t size;
        int r;

        r = dsse_envelope_parse(name, file->envelope, file->size, &envelope, error);
        for (size_t i = 0; i < signers->n && r >= 0; i++)
                r = dsse_envelope_add_signature(envelope, signers->keys[i], error);
        if (r >= 0)
                r = dsse_envelope_write(envelope, &written, &size, error);
        if (r < 0)
                return r;
        free(file->envelope);
        *file = (RootFile){ .envelope = written, .size = size };
        return 0;
}

static int run_sign(Cli *cli, void *values, char **arguments, Error *error) {
        const SignValues *options = values;
        const char *path = arguments[0];
        _cleanup_root_file_ RootFile file = {};
        _cleanup_key_list_ KeyList signers = {};
        _cleanup_trust_root_ TrustRoot *root = NULL;
        Error missing = {};
        int r;

        r = root_file_read(path, &file, error);
        if (r >= 0)
                r = load_signers(&signers, options->signers, error);
        if (r >= 0)
                r = add_signatures(&file, path, &signers, error);
        if (r < 0)
                return r;
        r = file_replace_at(AT_FDCWD, path, file.envelope, file.size, 0644);
        if (r < 0)
                return error_set_errno(error, r, "cannot write %s", path);
        r = root_file_check(&file, path, NULL, 0, &root, &missing);
        if (cli->json)
                return output_json(cli, json_pack("{s:s, s:b}", "file", path, "complete", r >= 0), error);
        cli_say(cli, "%s: signed", path);
        if (r < 0)
                say_incomplete(cli, path, &missing);
        return 0;
}

static const Command command_root_sign = {
        .name = "sign",
        .summary = "sign a trust root that somebody else made",
        .arguments = "FILE",
        .arguments_min = 1,
        .arguments_max = 1,
        .argument_kind = ARGUMENT_FILE,
        .options = sign_options,
        .values_size = sizeof(SignValues),
        .examples =
                (const Example[]){
                        { "The second of two signatures.", "muster root sign root.json --root-key ann.key" },
                        {},
                },
        .run = run_sign,
};

typedef struct PublishValues {
        DepotValues depot;
} PublishValues;

static const Option publish_options[] = {
        DEPOT_OPTIONS(PublishValues, depot),
        OPTION_END,
};

static int run_publish(Cli *cli, void *values, char **arguments, Error *error) {
        const PublishValues *options = values;
        _cleanup_root_file_ RootFile file = {};
        int r;

        r = root_file_read(arguments[0], &file, error);
        if (r >= 0)
                r = publish(cli, arguments[0], &file, &options->depot, error);
        if (r >= 0 && cli->json)
                r = output_json(cli, json_pack("{s:s}", "file", arguments[0]), error);
        return r;
}

static const Command command_root_publish = {
        .name = "publish",
        .summary = "put a trust root into the depot",
        .arguments = "FILE",
        .arguments_min = 1,
        .arguments_max = 1,
        .argument_kind = ARGUMENT_FILE,
        .options = publish_options,
        .values_size = sizeof(PublishValues),
        .examples =
                (const Example[]){
                        { "Publish a root that others have signed.",
                          "muster root publish root-2.json --depot s3://deploys/prod" },
                        {},
                },
        .run = run_publish,
};

/* Looking at one. */

static int role_to_json(const TrustRoot *root, TrustRole role, json_t *roles) {
        json_t *ids = json_array();
        uint64_t threshold;
        size_t n;
        Key *const *keys = trust_root_keys(root, role, &n, &threshold);

        for (size_t i = 0; i < n; i++)
                if (json_array_append_new(ids, json_string(key_id(keys[i]))) < 0) {
                        json_decref(ids);
                        return -ENOMEM;
                }
        return json_object_set_new(
                roles, trust_role_to_string(role),
                json_pack("{s:o, s:I}", "keyids", ids, "threshold", (json_int_t) threshold));
}

static int print_root_json(const Cli *cli, const TrustRoot *root, Error *error) {
        char issued[TIME_TEXT_MAX], expires[TIME_TEXT_MAX];
        json_auto_t *roles = json_object();

        for (TrustRole role = 0; role < TRUST_ROLE_MAX; role++)
                if (role_to_json(root, role, roles) < 0)
                        return error_oom(error);
        format_time(trust_root_issued(root), issued);
        format_time(trust_root_expires(root), expires);
        return output_json(cli,
                           json_pack("{s:I, s:s, s:s, s:O}", "version", (json_int_t) trust_root_version(root),
                                     "issued", issued, "expires", expires, "roles", roles),
                           error);
}

static void print_role(const Cli *cli, const TrustRoot *root, TrustRole role) {
        uint64_t threshold;
        size_t n;
        Key *const *keys = trust_root_keys(root, role, &n, &threshold);

        if (n == 0)
                return;
        fprintf(cli->out, "\n%s%s%s: %llu of %zu must sign\n", cli->out_style.strong,
                trust_role_to_string(role), cli->out_style.off, (unsigned long long) threshold, n);
        for (size_t i = 0; i < n; i++)
                fprintf(cli->out, "  %s\n", key_id(keys[i]));
}

typedef struct ShowValues {
        const char *root;
} ShowValues;

static const Option show_options[] = {
        ROOT_OPTION(ShowValues, root),
        OPTION_END,
};

static int run_show(Cli *cli, void *values, char **arguments, Error *error) {
        const ShowValues *options = values;
        _cleanup_trust_root_ TrustRoot *root = NULL;
        char issued[TIME_TEXT_MAX], expires[TIME_TEXT_MAX];
        int r;

        r = trust_root_read(arguments ? arguments[0] : options->root, &root, error);
        if (r < 0)
                return r;
        if (cli->json)
                return print_root_json(cli, root, error);
        format_time(trust_root_issued(root), issued);
        format_time(trust_root_expires(root), expires);
        fprintf(cli->out, "trust root %llu, issued %s, %s %s\n",
                (unsigned long long) trust_root_version(root), issued,
                trust_root_expires(root) <= clock_realtime(cli->clock) ? "EXPIRED" : "good until", expires);
        for (TrustRole role = 0; role < TRUST_ROLE_MAX; role++)
                print_role(cli, root, role);
        return 0;
}

static const Command command_root_show = {
        .name = "show",
        .summary = "print whose signatures a trust root asks for",
        .arguments = "[FILE]",
        .arguments_max = 1,
        .argument_kind = ARGUMENT_FILE,
        .options = show_options,
        .values_size = sizeof(ShowValues),
        .examples =
                (const Example[]){
                        { "What does this machine believe?", "muster root show" },
                        { "What is in this file?", "muster root show root.json" },
                        {},
                },
        .run = run_show,
};

const Command command_root_of_trust = {
        .name = "root",
        .summary = "make and look at trust roots",
        .verbs =
                (const Command *const[]){
                        &command_root_init,
                        &command_root_rotate,
                        &command_root_sign,
                        &command_root_publish,
                        &command_root_show,
                        NULL,
                },
};
