#include <jansson.h>
#include <string.h>

#include "agent/base/base64.h"
#include "agent/cli/key_command.h"
#include "agent/cli/key_source.h"
#include "agent/cli/new_file.h"
#include "agent/cli/output.h"

typedef struct GenerateValues {
        const char *out;
        const char *public_out;
} GenerateValues;

static const Option generate_options[] = {
        { .name = "out",
          .letter = 'o',
          .type = OPTION_PATH,
          OPTION_INTO(GenerateValues, out),
          .value = "FILE",
          .help = "where the private key goes (mode 0600)",
          .required = true },
        { .name = "public-out",
          .type = OPTION_PATH,
          OPTION_INTO(GenerateValues, public_out),
          .value = "FILE",
          .help = "where the public key goes" },
        OPTION_END,
};

static int write_keys(const Key *key, const GenerateValues *options, Error *error) {
        _cleanup_key_text_ char *private = NULL, *public = NULL;
        int r;

        r = key_private_to_pem(key, &private, error);
        if (r >= 0)
                r = key_public_to_pem(key, &public, error);
        if (r >= 0 && options->public_out)
                r = new_file_write(options->public_out, public, strlen(public), 0644, error);
        if (r < 0)
                return r;
        r = new_file_write(options->out, private, strlen(private), 0600, error);
        if (r < 0 && options->public_out)
                (void) unlink(options->public_out);
        return r;
}

static int run_generate(Cli *cli, void *values, _unused_ char **arguments, Error *error) {
        const GenerateValues *options = values;
        _cleanup_key_ Key *key = NULL;
        int r;

        r = options->public_out ? new_file_check(options->public_out, error) : 0;
        if (r >= 0)
                r = key_generate(&key, error);
        if (r >= 0)
                r = write_keys(key, options, error);
        if (r < 0)
                return r;
        if (cli->json)
                return output_json(cli,
                                   json_pack("{s:s, s:s, s:s?}", "id", key_id(key), "private", options->out,
                                             "public", options->public_out),
                                   error);
        cli_say(cli, "key %s", key_id(key));
        cli_say(cli, "private key in %s: keep it secret, it signs what your instances run", options->out);
        if (options->public_out)
                cli_say(cli, "public key in %s", options->public_out);
        return 0;
}

static const Command command_key_generate = {
        .name = "generate",
        .summary = "make a key to sign with",
        .description =
                "Makes an Ed25519 key and writes it as PEM (PKCS#8). Existing files are never overwritten.",
        .options = generate_options,
        .values_size = sizeof(GenerateValues),
        .examples =
                (const Example[]){
                        { "A key for the build server, its public half for whoever makes the trust root.",
                          "muster key generate --out release.key --public-out release.pub" },
                        {},
                },
        .run = run_generate,
};

typedef struct ShowValues {
        bool pem;
} ShowValues;

static const Option show_options[] = {
        { .name = "pem",
          .type = OPTION_FLAG,
          OPTION_INTO(ShowValues, pem),
          .help = "print the public key as PEM" },
        OPTION_END,
};

static int print_key(Cli *cli, const Key *key, Error *error) {
        _cleanup_free_ char *public = NULL;

        if (base64_encode(key_public(key), KEY_PUBLIC_SIZE, &public) < 0)
                return error_oom(error);
        if (cli->json)
                return output_json(cli,
                                   json_pack("{s:s, s:s, s:s, s:b}", "id", key_id(key), "type", "ed25519",
                                             "public", public, "private", key_is_private(key)),
                                   error);
        fprintf(cli->out, "id      %s\ntype    ed25519, %s\npublic  %s\n", key_id(key),
                key_is_private(key) ? "private" : "public", public);
        return 0;
}

static int run_show(Cli *cli, void *values, char **arguments, Error *error) {
        const ShowValues *options = values;
        _cleanup_key_list_ KeyList list = {};
        _cleanup_free_ char *pem = NULL;
        int r;

        r = key_list_load(&list, arguments, error);
        if (r < 0)
                return r;
        if (!options->pem)
                return print_key(cli, list.keys[0], error);
        r = key_public_to_pem(list.keys[0], &pem, error);
        if (r < 0)
                return r;
        fputs(pem, cli->out);
        return 0;
}

static const Command command_key_show = {
        .name = "show",
        .summary = "print the id and the public half of a key",
        COMMAND_TAKES_FILE,
        .options = show_options,
        .values_size = sizeof(ShowValues),
        .examples =
                (const Example[]){
                        { "Which key is this?", "muster key show release.key" },
                        { "Hand out the public half.", "muster key show release.key --pem >release.pub" },
                        {},
                },
        .run = run_show,
};

const Command command_key = {
        .name = "key",
        .heading = "Keys and trust",
        .summary = "make and look at keys",
        .verbs =
                (const Command *const[]){
                        &command_key_generate,
                        &command_key_show,
                        NULL,
                },
};
