#include "agent/cli/root_sign_command.h"
#include "agent/base/file.h"
#include "agent/cli/output.h"
#include "agent/cli/root_file.h"
#include "agent/cli/shared_options.h"

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
                r = root_file_load_signers(options->signers, &signers, error);
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
                root_file_say_incomplete(cli, path, &missing);
        return 0;
}

const Command command_root_sign = {
        .name = "sign",
        .summary = "sign a trust root that somebody else made",
        COMMAND_TAKES_FILE,
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
                r = root_file_publish(cli, arguments[0], &file, &options->depot, error);
        if (r >= 0 && cli->json)
                r = output_json(cli, json_pack("{s:s}", "file", arguments[0]), error);
        return r;
}

const Command command_root_publish = {
        .name = "publish",
        .summary = "put a trust root into the depot",
        COMMAND_TAKES_FILE,
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
