#include <string.h>

#include "agent/base/parse.h"
#include "agent/cli/new_file.h"
#include "agent/cli/output.h"
#include "agent/cli/root_file.h"
#include "agent/cli/root_make_command.h"
#include "agent/cli/shared_options.h"

#define ROOT_EXPIRES_DEFAULT "365d"
#define ROOT_EXPIRES_MAX (UINT64_C(36500) * 24 * 60 * 60 * USEC_PER_SEC)

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

/* 0 might have been meant as "never"; a root that has expired already is of no use to anybody. */
static int check_expires(const OptionNumber *expires, Error *error) {
        if (expires->value > 0 && expires->value <= ROOT_EXPIRES_MAX)
                return 0;
        return error_set_fault(
                error, -EINVAL, FAULT_INPUT,
                "--expires: expected more than 0 and at most 36500d; every trust root expires");
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
        Key *signing[KEY_LIST_MAX]; /* those of SIGNERS that are private */
        size_t n = 0, size;
        int r;

        for (size_t i = 0; i < signers->n; i++)
                if (key_is_private(signers->keys[i]))
                        signing[n++] = signers->keys[i];
        if (n == 0)
                return error_set_fault(error, -ENOKEY, FAULT_INPUT,
                                       "no key to sign with: --root-key names no private key");
        r = trust_root_write(root, &payload, &size, error);
        return r < 0 ? r
                     : dsse_sign(TRUST_ROOT_TYPE, payload, size, signing, n, &ret->envelope, &ret->size,
                                 error);
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
                root_file_say_incomplete(cli, values->out, missing);
        return 0;
}

static int make(const Cli *cli, const MakeValues *values, const TrustRoot *old, Error *error) {
        uint64_t now = clock_realtime(cli->clock);
        _cleanup_trust_root_ TrustRoot *root = NULL, *checked = NULL;
        _cleanup_key_list_ KeyList signers = {};
        _cleanup_root_file_ RootFile file = {};
        Error missing = {};
        int r, complete;

        r = check_expires(&values->expires, error);
        if (r >= 0)
                r = new_file_check(values->out, error);
        if (r >= 0)
                r = root_file_load_signers(values->signers, &signers, error);
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
                r = root_file_publish(cli, values->out, &file, &values->depot, error);
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

const Command command_root_init = {
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

const Command command_root_rotate = {
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
